"""The worked examples of CONTRIBUTING.md, added to a copy of the package as they say, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n# (?P<path>\S+?)(?:, in (?P<table>\w+))?\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
SECTIONS = {
    title: text
    for title, _, text in (part.partition("\n") for part in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:])
}
HELPERS = ("fakes.py", "small_sets.py", "flow/flow_contract.py", "networks/test_networks.py", "conftest.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package, and of what tests need besides."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("shipped", "*.egg-info"))
    shipped = Path("src/segtween/models/shipped")
    (tmp_path / shipped).symlink_to(ROOT / shipped)
    for name in HELPERS:
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / "tests" / name, tmp_path / "tests" / name)
    return tmp_path


def add(tree: Path, section: str) -> list[str]:
    """Adds the section's blocks; the test files among them."""
    added = []
    for block in BLOCK.finditer(SECTIONS[section]):
        path, table, code = tree / block["path"], block["table"], block["code"]
        if table is None:
            assert not path.exists(), f"{block['path']} would be written over"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
            text, times = re.subn(
                rf"^({table}\b.*[({{])\n", lambda found, code=code: f"{found[1]}\n{code}", text, flags=re.MULTILINE
            )
            assert times == 1, f"{block['path']} has {times} tables {table}"
            path.write_text(text, encoding="utf-8")
        added.append(block["path"])
    return added


def run(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(tree / folder) for folder in ("src", "tests"))
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": paths, "SEGTWEEN_SHARED": str(tree / "none"), "CI": ""},
        capture_output=True,
        text=True,
    )


def passes(tree: Path, *tests: str) -> None:
    done = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed|100%", done.stdout), done.stdout


def test_a_flow_estimator(tree: Path) -> None:
    added = add(tree, "A flow estimator")
    assert added == ["src/segtween/flow/farneback.py", "src/segtween/flow/__init__.py", "tests/flow/test_farneback.py"]
    passes(tree, "tests/flow/test_farneback.py")
    asked = run(tree, "-c", "from segtween.cli.options import flow_names; print(flow_names())")
    assert "'farneback', 'dis', " in asked.stdout, asked.stderr


@pytest.mark.train
def test_a_network(tree: Path) -> None:
    assert add(tree, "A network") == ["src/segtween/networks/tiny.py", "src/segtween/networks/__init__.py"]
    passes(tree, "tests/networks/test_networks.py", "-k", "tiny")


@pytest.mark.slow
def test_a_preset(tree: Path) -> None:
    assert add(tree, "A preset") == ["src/segtween/settings/method.py", "tests/engine/test_sparse.py"]
    passes(tree, "tests/engine/test_sparse.py")


@pytest.mark.slow
def test_a_data_set(tree: Path) -> None:
    added = add(tree, "A data set")
    assert len(added) == 3
    passes(tree, added[-1])


def test_every_block_of_code_is_run() -> None:
    told = {block["path"] for text in SECTIONS.values() for block in BLOCK.finditer(text)}
    assert len(list(BLOCK.finditer(TEXT))) == TEXT.count("```python")
    assert told == {block["path"] for block in BLOCK.finditer(TEXT)}


def test_the_table_of_packages_names_all_of_them() -> None:
    for path in (ROOT / "src" / "segtween").iterdir():
        if path.is_dir() and path.name not in ("__pycache__", "validation"):
            assert f"`{path.name}`" in TEXT, path.name
