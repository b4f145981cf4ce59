"""Figures of the documents come from stored measurements (`tools/measured.py`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import measured

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {
    "rows": [
        {"row": "every frame", "interval": 0, "miou": 0.743, "gain": None, "gain_low": None, "gain_high": None},
        {"row": "composed", "interval": 4, "miou": 0.737, "gain": -0.006, "gain_low": -0.015, "gain_high": 0.001},
        {"row": "composed", "interval": 9, "miou": 0.712, "gain": -0.031, "gain_low": None, "gain_high": None},
    ],
    "classes": {"sky": 0.9, "sign-symbol": 0.5},
}
MEASUREMENT = f"""\
import json, os, sys
print('on', os.path.basename(sys.argv[1]), '76.3')
json.dump({{**{FIGURES!r}, 'root': sys.argv[1]}}, open(sys.argv[2], 'w'))
"""
COLUMNS = {"method": "{row}", "mIoU": "{miou:%}", "gain": "{gain:+%}[ ({gain_low:+%} to {gain_high:+%})]"}
TABLE = """\
| method | mIoU | gain |
| --- | ---: | ---: |
| every frame | 74.3 | - |
| path | 73.7 | -0.6 (-1.5 to +0.1) |
| path | 71.2 | -3.1 |
"""
BLOCK = """\
# Results

<!-- measured: all -->
<!-- /measured -->

It has <!-- value: fake rows(row=path;interval=9).miou % --><!-- /value --> there.
"""


class Tree:
    """A checkout with one measurement, one view and one document."""

    def __init__(self, root: Path) -> None:
        self.root, self.readme, self.place = root, root / "README.md", root / "docs" / "measured"
        self.place.mkdir(parents=True)
        (root / "src").mkdir()
        (root / "src" / "code.py").write_text("x = 1\n")
        (root / "fake.py").write_text(MEASUREMENT)
        self.readme.write_text(BLOCK)
        self.yaml(
            "measurements", {"fake": {"command": f"python {root}/fake.py CamVid OUT/f.json", "figures": "f.json"}}
        )
        self.yaml("views", {"all": {"of": "fake", "columns": COLUMNS}})
        self.yaml("data", {"CamVid": {"is": "CamVid"}})
        for words in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
        ):
            subprocess.run(["git", "-C", root, *words], check=True)

    def yaml(self, name: str, content: Any) -> None:
        (self.place / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def call(self, *words: str) -> int:
        return measured.main(words, root=self.root)

    def measure(self) -> dict[str, Any]:
        """The stored record, its command told without the folder of the test."""
        assert self.call("run", "fake", "--data", f"CamVid={self.root}") == 0
        path = self.place / "fake.json"
        record = json.loads(path.read_text())
        self.yaml("measurements", {"fake": {"command": "segtween fake CamVid", "figures": "f.json"}})
        path.write_text(json.dumps({**record, "command": "segtween fake CamVid"}))
        return dict(record)

    def faults(self) -> str:
        return "\n".join(measured.faults(self.root))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


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
    assert measured.write(tree.root) == ([], [])


def test_what_has_to_be_known_is_kept_without_places_of_the_machine(tree: Tree) -> None:
    record = tree.measure()
    assert set(measured.KEPT) <= set(record)
    assert set(record["machine"]) == set(measured.OF_MACHINE)
    assert record["machine"]["processors"] >= 1
    assert set(record["versions"]) == {"python", *measured.PACKAGES}
    head = subprocess.run(["git", "-C", tree.root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    assert record["commit"] == head.stdout.strip()
    assert record["figures"] == {**FIGURES, "root": "CamVid"}
    assert record["printed"] == "on tree 76.3\n"
    assert not list(tree.place.glob(".*"))


@pytest.mark.parametrize(
    ("old", "new"), [("73.7", "75.7"), ("-->71.2<", "-->72.2<"), ("segtween fake", "segtween take")]
)
def test_a_figure_that_was_typed_fails(tree: Tree, old: str, new: str) -> None:
    tree.measure()
    tree.call("write")
    tree.readme.write_text(tree.readme.read_text().replace(old, new, 1))
    assert "README.md" in tree.faults()
    assert "is not what its JSON says; run measured.py write" in tree.faults()
    assert tree.call("check") == 1


def test_other_figures_in_the_json_fail(tree: Tree) -> None:
    tree.measure()
    tree.call("write")
    path = tree.place / "fake.json"
    path.write_text(path.read_text().replace("0.737", "0.739"))
    assert tree.faults() == "README.md: the table all is not what its JSON says; run measured.py write"


def test_without_json_the_table_says_that_nothing_was_measured(tree: Tree) -> None:
    tree.readme.write_text(BLOCK.partition("It has")[0])
    tree.measure()
    tree.call("write")
    (tree.place / "fake.json").unlink()
    assert tree.faults() == "README.md: the table all is not what its JSON says; run measured.py write"
    assert tree.call("write") == 0
    text = tree.readme.read_text()
    assert "Not measured with this version. What would print it:" in text
    assert "0.737" not in text
    assert "73.7" not in text
    assert tree.call("check") == 0
    tree.readme.write_text(BLOCK)
    assert "the figure fake rows(row=path;interval=9).miou: no JSON yet" in tree.faults(), "a sentence needs its figure"


@pytest.mark.parametrize("cell", ["74.3", "3.9x", "19.4 ms", "19 ms", "92%", "92 %", "**75.6**", "+0.8 (+0.1 to +1.5)"])
def test_a_table_of_figures_without_a_measurement_fails(tree: Tree, cell: str) -> None:
    table = f"| | |\n| --- | ---: |\n| a | {cell} |\n"
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n{table}")
    tree.call("write")
    assert tree.faults() == "README.md: figures without a measurement: | | |"
    tree.readme.write_text(f"{BLOCK}\n<!-- not measured: published by others -->\n\n{table}")
    tree.call("write")
    assert tree.faults() == ""
    tree.readme.write_text(f"{BLOCK}\n<!-- not measured: -->\n\n{table}")
    tree.call("write")
    assert tree.faults() != ""


@pytest.mark.parametrize(
    "cell",
    ["2048x1024", "`--scale 0.75`", "[arXiv 1903.08469](https://arxiv.org/abs/1903.08469)", "101 frames", "v0.3.1",
     "0 to 10", "<!-- value: fake rows.1.miou % -->73.7<!-- /value -->"],
)  # fmt: skip
def test_a_table_without_measured_figures_needs_no_mark(tree: Tree, cell: str) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n| | |\n| --- | --- |\n| a | {cell} |\n")
    tree.call("write")
    assert tree.faults() == ""


def test_what_a_command_printed_is_a_table_too(tree: Tree) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n```\nsegtween bench --scale 0.75\n```\n\n```\nmethod  mIoU\npath    73.7\n```\n")
    tree.call("write")
    assert tree.faults() == "README.md: figures without a measurement: method  mIoU"
    tree.readme.write_text(f"{BLOCK}\n<!-- measured: said -->\n<!-- /measured -->\n")
    tree.yaml("views", {"all": {"of": "fake", "columns": COLUMNS}, "said": {"of": "fake", "printed": "^on"}})
    tree.call("write")
    assert "```\non tree 76.3\n```\n" in tree.readme.read_text()
    assert tree.faults() == ""


def test_half_a_mark_and_a_view_that_is_nowhere_fail(tree: Tree) -> None:
    tree.measure()
    tree.readme.write_text("<!-- measured: all -->\n")
    assert "README.md: a mark `measured` or `value` without its other half" in tree.faults()
    assert "views.yaml: all stands in no document" in tree.faults()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"commit": None}, "lacks commit; run it again"),
        ({"machine": {"processor": "x"}}, "lacks machine.features, machine.processors"),
        ({"command": "segtween fake --other CamVid"}, "its command is another one than that of measurements.yaml"),
        ({"commit": "1234567 with changes"}, "measured with changes that no commit holds"),
        ({"printed": "/home/me/CamVid"}, "holds a path of the machine"),
    ],
)
def test_a_stored_measurement_is_looked_at_by_itself(tree: Tree, change: dict[str, Any], told: str) -> None:
    tree.measure()
    tree.readme.write_text("")
    tree.yaml("views", {})
    assert tree.faults() == ""
    path = tree.place / "fake.json"
    record = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
    assert told in tree.faults()


def test_a_stored_measurement_that_nobody_names_fails(tree: Tree) -> None:
    tree.measure()
    tree.yaml("measurements", {})
    assert "fake.json: no such measurement in measurements.yaml" in tree.faults()


def test_code_that_no_commit_holds_is_told(tree: Tree) -> None:
    (tree.root / "src" / "code.py").write_text("x = 2\n")
    assert tree.measure()["commit"].endswith(" with changes")


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
    assert record["printed"] == "on CamVid 76.3\n"
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


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"of": "fake", "columns": COLUMNS, "rows": ["nothing"]}, "no nothing in the figures; expected one of rows"),
        ({"of": "fake", "columns": COLUMNS, "where": {"row": ["x"]}}, "view all has no rows"),
        ({"of": "fake", "printed": "nothing"}, "no printed line holds nothing"),
        ({"of": "fake", "columns": ["row"]}, "table 'None' is unknown"),
    ],
)
def test_a_view_of_what_is_not_there_fails(tree: Tree, view: dict[str, Any], told: str) -> None:
    tree.measure()
    tree.yaml("views", {"all": view})
    assert told in tree.faults()


def test_rows_by_name_beside_those_of_another_measurement_and_of_a_committed_file(tree: Tree) -> None:
    tree.measure()
    (tree.root / "docs" / "model.yaml").write_text("measured: {sky: 0.8, sign-symbol: 0.75}\n")
    columns = {"class": "{name}", "here": "{value:%}", "there": "{other.measured.$name:%}"}
    view = {"of": "fake", "rows": ["classes"], "by_name": True, "columns": columns, "names": {"sky": "the sky"}}
    tree.yaml("views", {"all": {**view, "beside": {"other": "docs/model.yaml"}}})
    text = measured.table(tree.root, "all")
    assert "| the sky | 90.0 | 80.0 |\n| sign-symbol | 50.0 | 75.0 |" in text
    assert "From `docs/model.yaml`." in text


def test_parts_stand_below_each_other(tree: Tree) -> None:
    tree.measure()
    parts = [
        {"of": "fake", "where": {"interval": [4]}, "with": {"data": "one"}},
        {"of": "fake", "where": {"interval": [9]}, "columns": {"data": "two", "mIoU": "{miou:.2f}"}},
    ]
    tree.yaml("views", {"all": {"columns": {"data": "{data}", "mIoU": "{miou:%}"}, "parts": parts}})
    assert "| one | 73.7 |\n| two | 0.71 |" in measured.table(tree.root, "all")


def test_columns_are_those_that_the_command_shows() -> None:
    row = {"estimate": "outside", "thresholds": "-", "precision": 0.331, "recall": None}
    own = measured.own_columns({"table": "occlusion"})
    assert [own[key].heading for key in row] == ["estimate", "thresholds", "precision", "recall"]
    assert [own[key].cell(row) for key in row] == ["outside", "-", "33.1", "-"]
    assert set(measured.own_columns({"table": "propagation", "every": 30})) >= {"method", "miou", "gain"}


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
    views = measured.read_yaml(ROOT / measured.PLACE / "views.yaml")
    measurements = measured.read_yaml(ROOT / measured.PLACE / "measurements.yaml")
    shown = {name for of in views.values() for name in measured._names(of)}
    assert {name for name in shown if "/" not in name} <= set(measurements)
    assert all(of["command"].startswith(("segtween ", "python ")) for of in measurements.values())
    known = measured.read_yaml(ROOT / measured.PLACE / "data.yaml")
    for of in measurements.values():
        roots = [word for before, word in zip(of["command"].split(), of["command"].split()[1:], strict=False)
                 if before in ("--root", "--scores", "--weights") and word != "labels"]  # fmt: skip
        assert set(roots) <= set(known)


def test_every_table_of_the_documents_is_what_its_json_says() -> None:
    assert measured.faults(ROOT) == []
