"""What GitHub, citation managers and readers of the architecture read besides the documents."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from segtween import __version__

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_citation_has_what_the_format_demands_and_the_version_that_is_here() -> None:
    cited = load(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == __version__
    assert cited["authors"] == [{"name": "The segtween contributors"}]
    assert cited["license"] == "Apache-2.0"
    for work in cited["references"]:
        assert {"type", "title", "authors"} <= set(work)


def test_ci_runs_the_two_commands_on_python_3_11_without_data() -> None:
    flow = load(GITHUB / "workflows" / "ci.yml")
    jobs = flow["jobs"]
    commands = {job: [step["run"] for step in jobs[job]["steps"] if "run" in step] for job in jobs}
    assert commands == {"check": ["make check"], "test": ["make test"]}
    versions = {step["with"]["python-version"] for job in jobs.values() for step in job["steps"] if "setup-python" in
                step.get("uses", "")}  # fmt: skip
    assert versions == {"3.11"}
    assert jobs["test"]["env"] == {"SEGTWEEN_SHARED": "none"}
    assert "WITHOUT_SHARED" in (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_forms_are_what_github_takes(name: str) -> None:
    form = load(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    for field in form["body"]:
        assert field["type"] in ("textarea", "input", "dropdown", "checkboxes", "markdown")
        assert field["attributes"]["label"]
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)


def test_the_picture_of_a_frame_s_way_names_packages_that_there_are() -> None:
    picture = xml.etree.ElementTree.parse(ROOT / "docs" / "figures" / "frame.svg")
    space = "{http://www.w3.org/2000/svg}"
    titles = {text.text for text in picture.iter(f"{space}text") if text.get("class") == "t"}
    packages = {title.partition(".")[0] for title in titles if title and title.islower()}
    assert {"video", "flow", "ops", "schedule", "segmenters", "refine", "metrics", "engine"} == packages
    assert all((ROOT / "src" / "segtween" / package).is_dir() for package in packages)
    background = next(iter(picture.iter(f"{space}rect")))
    assert background.get("width") == picture.getroot().get("width"), (
        "it has a background of its own, on dark pages too"
    )
    assert "(figures/frame.svg)" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_architecture_names_every_package_and_module_at_the_root() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "src" / "segtween").iterdir():
        if not path.name.startswith(("_", "py.typed", ".")):
            assert f"`{path.stem}`" in text, path.name


def test_the_glossary_is_sorted_and_names_each_word_once() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", text, re.MULTILINE)
    assert len(words) > 40
    assert words == sorted(set(words), key=str.lower)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_a_release_s_tag_is_the_version() -> None:
    """On a commit with a version's tag, the tag, the version and the CHANGELOG's first heading agree."""
    told = subprocess.run(
        ["git", "tag", "--points-at", "HEAD", "--list", "v*"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    heading = next(line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if "## " in line)
    assert heading.split()[1] == __version__
    for tag in told.stdout.split():
        assert tag == f"v{__version__}"
        assert "unreleased" not in heading


def test_what_is_carried_to_a_card_and_what_is_left_out_are_all_dependencies() -> None:
    script, project = (ROOT / "tools/measure-gpu.sh").read_text(), (ROOT / "pyproject.toml").read_text()
    lists = [re.findall(rf'^{name}="(.*)"$', script, re.MULTILINE) for name in ("CARRIED", "OPTIONAL")]
    carried, optional = (set(words.split()) for (words,) in lists)
    (needed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert carried | optional == set(re.findall(r'"([\w-]+)>=', needed))
    assert not carried & optional
