"""Figures of the documents come from stored measurements (`tools/measured`): measuring, and writing tables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from measured import documents, measuring, store, tables
from measured_tree import BLOCK, COLUMNS, FIGURES, PRINTED, RESTS, TABLE, Tree

ROOT = Path(__file__).resolve().parents[2]


def test_a_table_is_written_from_its_figures_and_then_right(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.measure()
    assert tree.call("write") == 0
    text = tree.readme.read_text()
    assert TABLE in text
    assert "`segtween fake CamVid`" in text
    assert "It has <!-- value: fake rows(row=path;interval=9).miou % -->71.2<!-- /value --> there." in text
    capsys.readouterr()
    assert tree.call("check") == 0
    assert capsys.readouterr().out == "every table is what its JSON says\n"
    assert documents.write(tree.root) == ([], [])


def test_what_has_to_be_known_is_kept_without_places_of_the_machine(tree: Tree) -> None:
    record = tree.measure()
    assert set(store.KEPT) <= set(record)
    assert set(record["machine"]) == set(store.OF_MACHINE)
    assert record["machine"]["processors"] >= 1
    assert set(record["versions"]) == {"python", *measuring.PACKAGES}
    head = subprocess.run(["git", "-C", tree.root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    assert record["commit"] == head.stdout.strip()
    assert record["figures"] == {**FIGURES, "root": "CamVid"}
    assert record["printed"] == f"on tree 76.3\nall figures in percent; {RESTS}\n{PRINTED}\n"
    assert not list(tree.place.glob(".*"))


def test_variables_may_stand_before_the_program(tree: Tree) -> None:
    code = "import json, os, sys; json.dump({'held': os.environ['HELD']}, open(sys.argv[1], 'w'))"
    command = f'HELD=AVX2 python -c "{code}" OUT/f.json'
    tree.yaml("measurements", {"fake": {"command": command, "figures": "f.json"}})
    assert tree.measure()["figures"] == {"held": "AVX2"}


def test_without_json_the_table_says_that_nothing_was_measured(tree: Tree) -> None:
    tree.readme.write_text(BLOCK.partition("It has")[0])
    tree.measure()
    tree.call("write")
    (tree.place / "fake.json").unlink()
    assert tree.faults() == "README.md: the table all is not what its JSON says; run tools/measured write"
    assert tree.call("write") == 0
    text = tree.readme.read_text()
    assert "Not measured with this version. What would print it:" in text
    assert "0.737" not in text
    assert "73.7" not in text
    assert tree.call("check") == 0
    tree.readme.write_text(BLOCK)
    assert "the figure fake rows(row=path;interval=9).miou: no JSON yet" in tree.faults(), "a sentence needs its figure"


def test_intervals_say_what_they_rest_on(tree: Tree) -> None:
    tree.measure()
    assert tables.table(tree.root, "all").endswith(f"  \n{RESTS}\n")
    without = {key: form for key, form in COLUMNS.items() if key != "gain"}
    tree.yaml("views", {"all": {"of": "fake", "columns": without}})
    assert "interval" not in tables.table(tree.root, "all")
    ends = {"of": "fake", "columns": {"mIoU": "{miou:%}", "gain_low": "{gain_low:+%}"}}
    tree.yaml("views", {"all": ends})
    assert RESTS in tables.table(tree.root, "all")
    tree.yaml("views", {"all": {"of": "fake", "columns": COLUMNS}})
    path = tree.place / "fake.json"
    path.write_text(path.read_text().replace("in brackets", "between"))
    assert "fake shows intervals, and its command printed nothing of what they rest on; run it again" in tree.faults()


def test_a_view_of_two_measurements_names_the_one_that_is_missing(tree: Tree) -> None:
    tree.measure()
    commands = {
        name: {"command": f"segtween {name} CamVid", "figures": "f.json"} for name in ("fake", "other", "third")
    }
    tree.yaml("measurements", commands)
    parts = [{"of": "fake"}, {"of": "other"}, {"of": "third"}]
    tree.yaml("views", {"all": {"columns": {"mIoU": "{miou:%}"}, "parts": parts}})
    assert tables.table(tree.root, "all") == (
        "\nNot measured with this version. What would print it:  \n`segtween other CamVid`  \n`segtween third CamVid`\n"
    )
    (tree.place / "third.json").write_text((tree.place / "fake.json").read_text())
    assert "segtween third" not in tables.table(tree.root, "all")


@pytest.mark.parametrize("name", ["code.py", "new.py", "folder/new.py"])
def test_code_that_no_commit_holds_is_told(tree: Tree, name: str) -> None:
    path = tree.root / "src" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 2\n")
    assert tree.measure()["commit"].endswith(" with changes")
    assert "measured with changes that no commit holds" in tree.faults()


def test_files_outside_of_the_code_are_no_change(tree: Tree) -> None:
    (tree.root / "notes.txt").write_text("x")
    assert "changes" not in tree.measure()["commit"]


def test_without_git_there_is_one_error_and_nothing_is_run(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tree.root / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tree.root.parent))
    assert tree.call("run", "fake", "--data", f"CamVid={tree.root}") == 2
    told = capsys.readouterr()
    assert "git tells no commit (fatal: not a git repository" in told.err
    assert told.err.count("\n") == 1
    monkeypatch.setenv("PATH", str(tree.root))
    assert tree.call("run", "fake", "--data", f"CamVid={tree.root}") == 2
    told = capsys.readouterr()
    assert "git cannot be run (No such file or directory); expected git, to tell the commit; install it" in told.err
    assert not (tree.place / "fake.json").exists()


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({"command": "nowhere CamVid"}, "`nowhere` cannot be run (No such file or directory); expected a program"),
        (
            {"command": "python -c 1 CamVid", "figures": "f.json"},
            "OUT/f.json cannot be read (No such file or directory)",
        ),
    ],
)
def test_a_command_that_leaves_nothing_is_told(
    tree: Tree, of: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.yaml("measurements", {"fake": of})
    assert tree.call("run", "fake", "--data", f"CamVid={tree.root}") == 2
    assert told in capsys.readouterr().err
    assert not (tree.place / "fake.json").exists()


def test_the_folder_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "measured", "list"], capture_output=True, text=True, check=True
    )
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {"demo", "camvid-methods"}


def test_a_command_that_fails_leaves_the_earlier_figures(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    (tree.place / "fake.json").write_text("earlier")
    (tree.root / "fake.py").write_text("import sys; sys.exit(3)")
    assert tree.call("run", "fake", "--data", f"CamVid={tree.root}") == 2
    assert "ended with 3" in capsys.readouterr().err
    assert (tree.place / "fake.json").read_text() == "earlier"


def test_figures_that_cannot_be_written_leave_nothing_behind(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree.place / "fake.json").write_text("earlier")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert tree.call("run", "fake", "--data", f"CamVid={tree.root}") == 2
    assert [path.name for path in tree.place.iterdir() if "fake" in path.name] == ["fake.json"]
    assert (tree.place / "fake.json").read_text() == "earlier"


def test_data_are_made_where_a_command_makes_them_and_asked_for_where_none_does(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tree.call("run", "fake") == 2
    assert "CamVid is not told; expected CamVid; give --data CamVid=PATH" in capsys.readouterr().err
    tree.yaml("data", {"CamVid": {"is": "made", "made": "python -c 'import sys, os; os.mkdir(sys.argv[1])' CamVid"}})
    assert tree.call("run", "--missing") == 0
    record = json.loads((tree.place / "fake.json").read_text())
    assert record["printed"].startswith("on CamVid 76.3\n")
    assert record["figures"]["root"] == "CamVid"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "else"], "measurement 'else' is unknown; expected one of fake"),
        (["run", "fake", "--data", "CamVid=/usr"], None),
        (["run", "fake", "--data", "CamVid=/nowhere"], "--data CamVid=/nowhere; expected NAME=PATH of data that exist"),
        (["run", "fake", "--data", "CamVid"], "--data CamVid; expected NAME=PATH of data that exist"),
        (["run"], "run without a name; expected names of measurements or --missing"),
    ],
)
def test_wrong_names_are_told(
    tree: Tree, words: list[str], told: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tree.call(*words) == (0 if told is None else 2)
    assert told is None or told in capsys.readouterr().err


def test_rows_by_name_beside_those_of_another_measurement_and_of_a_committed_file(tree: Tree) -> None:
    tree.measure()
    (tree.root / "docs" / "model.yaml").write_text("measured: {sky: 0.8, sign-symbol: 0.75}\n")
    columns = {"class": "{name}", "here": "{value:%}", "there": "{other.measured.$name:%}"}
    view = {"of": "fake", "rows": ["classes"], "by_name": True, "columns": columns, "names": {"sky": "the sky"}}
    tree.yaml("views", {"all": {**view, "beside": {"other": "docs/model.yaml"}}})
    text = tables.table(tree.root, "all")
    assert "| the sky | 90.0 | 80.0 |\n| sign-symbol | 50.0 | 75.0 |" in text
    assert "From `docs/model.yaml`." in text


def test_parts_stand_below_each_other(tree: Tree) -> None:
    tree.measure()
    parts = [
        {"of": "fake", "where": {"interval": [4]}, "with": {"data": "one"}},
        {"of": "fake", "where": {"interval": [9]}, "columns": {"data": "two", "mIoU": "{miou:.2f}"}},
    ]
    tree.yaml("views", {"all": {"columns": {"data": "{data}", "mIoU": "{miou:%}"}, "parts": parts}})
    assert "| one | 73.7 |\n| two | 0.71 |" in tables.table(tree.root, "all")


def test_columns_are_those_that_the_command_shows() -> None:
    row = {"estimate": "outside", "thresholds": "-", "precision": 0.331, "recall": None}
    own = tables.own_columns({"table": "occlusion"})
    assert [own[key].heading for key in row] == ["estimate", "thresholds", "precision", "recall"]
    assert [own[key].cell(row) for key in row] == ["outside", "-", "33.1", "-"]
    assert set(tables.own_columns({"table": "propagation", "every": 30})) >= {"method", "miou", "gain"}


@pytest.mark.slow
def test_a_command_of_segtween_end_to_end(tree: Tree) -> None:
    tree.yaml("data", {"street": {"is": "a drive", "made": "segtween synth street --frames 4 --size 160x96"}})
    command = "segtween evaluate --dataset camvid --root street --scores labels --intervals 1 --json OUT/f.json"
    tree.yaml("measurements", {"street": {"command": command, "figures": "f.json"}})
    tree.yaml(
        "views", {"all": {"of": "street", "rows": ["results"], "columns": {"": "{interval}", "mIoU": "{avg_miou:%}"}}}
    )
    tree.readme.write_text("<!-- measured: all -->\n<!-- /measured -->\n")
    assert tree.call("run", "street") == 0
    assert tree.call("write") == 0
    assert tree.faults() == ""
    record = json.loads((tree.place / "street.json").read_text())
    assert list(record["clips"].values()) == [4]
    miou = next(result for result in record["figures"]["results"] if result["interval"] == 1)["avg_miou"]
    text = tree.readme.read_text()
    assert f"| 1 | {100 * miou:.1f} |" in text
    assert f"`segtween synth street --frames 4 --size 160x96`, then  \n`{command}`  \n4 frames in 1 clip; " in text


def test_every_view_is_of_a_measurement_and_every_measurement_is_shown() -> None:
    views = store.read_yaml(ROOT / store.PLACE / "views.yaml")
    measurements = store.read_yaml(ROOT / store.PLACE / "measurements.yaml")
    shown = {name for of in views.values() for name in tables.names(of)}
    assert {name for name in shown if "/" not in name} <= set(measurements)
    assert all(re.match(r"([A-Z_]+=\S+ )*(segtween|python) ", of["command"]) for of in measurements.values())
    known = store.read_yaml(ROOT / store.PLACE / "data.yaml")
    for of in measurements.values():
        roots = [word for before, word in zip(of["command"].split(), of["command"].split()[1:], strict=False)
                 if before in ("--root", "--scores", "--weights") and word != "labels"]  # fmt: skip
        assert set(roots) <= set(known)
