"""What `tools/measured check` finds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from measured import checking
from measured_tree import BLOCK, COLUMNS, Tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("old", "new"), [("73.7", "75.7"), ("-->71.2<", "-->72.2<"), ("segtween fake", "segtween take")]
)
def test_a_figure_that_was_typed_fails(tree: Tree, old: str, new: str) -> None:
    tree.measure()
    tree.call("write")
    tree.readme.write_text(tree.readme.read_text().replace(old, new, 1))
    assert "README.md" in tree.faults()
    assert "is not what its JSON says; run tools/measured write" in tree.faults()
    assert tree.call("check") == 1


def test_other_figures_in_the_json_fail(tree: Tree) -> None:
    tree.measure()
    tree.call("write")
    path = tree.place / "fake.json"
    path.write_text(path.read_text().replace("0.737", "0.739"))
    assert tree.faults() == "README.md: the table all is not what its JSON says; run tools/measured write"
    tree.call("write")
    assert tree.faults() == "README.md: the table all holds 73.9, which no command printed; run it again"


def test_figures_are_compared_with_what_was_printed_as_either_is_rounded(tree: Tree) -> None:
    record = tree.measure()
    tree.call("write")
    path = tree.place / "fake.json"
    for printed, is_right in (("73.71", True), ("73.7x", True), ("73.76", False), ("1,273.7", False), ("-", False)):
        path.write_text(
            json.dumps(
                {**record, "command": "segtween fake CamVid", "printed": record["printed"].replace("73.7", printed)}
            )
        )
        assert (tree.faults() == "") == is_right, printed
    path.write_text(json.dumps({**record, "command": "segtween fake CamVid", "printed": ""}))
    tree.yaml("views", {"all": {"of": "fake", "columns": {"method": "{row}", "mIoU": "{miou:%}"}}})
    tree.call("write")
    assert tree.faults() == "", "a command may print nothing"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("gain_low", 0.002, "0.2"),
        ("times_faster", 3.25, "3.25"),
        ("avg_miou", 0.743, "74.3"),
    ],
)
def test_rows_of_a_table_are_what_the_command_printed(tree: Tree, key: str, value: float, told: str) -> None:
    """Even where the figure stands elsewhere in what was printed, or the documents do not show it."""
    from segtween.reports.tables.methods import COLUMNS as OWN

    record = tree.measure()
    row = dict.fromkeys((column.key for column in OWN), None) | {"row": "every frame", "interval": 0, "hash": "0" * 12}
    row |= {"avg_miou": 0.743, "gain": 0.016, "gain_low": 0.007, "gain_high": 0.025, "times_faster": 1.95, "tc": 0.812}
    printed = record["printed"] + " | ".join(column.cell(row) for column in OWN)
    tree.readme.write_text("")
    tree.yaml("views", {})
    known = {**record, "command": "segtween fake CamVid", "printed": printed}
    path = tree.place / "fake.json"
    path.write_text(json.dumps({**known, "figures": {"table": "methods", "title": "", "rows": [row]}}))
    assert tree.faults() == ""
    rows = [{**row, key: value}, *([row] if key == "avg_miou" else [])]
    path.write_text(json.dumps({**known, "figures": {"table": "methods", "title": "", "rows": rows * 2}}))
    assert "in rows of its table, which its command did not print there; run it again" in tree.faults()
    assert told in tree.faults()


def test_a_commit_outside_of_the_history_fails(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tree.measure()
    tree.call("write")
    path = tree.place / "fake.json"
    path.write_text(json.dumps({**record, "command": "segtween fake CamVid", "commit": "abcdef0"}))
    tree.call("write")
    told = "fake.json: measured at commit abcdef0, which is not in this history; run it again"
    assert tree.faults() == told
    shallow = tree.root / ".git" / "shallow"
    shallow.write_text(subprocess.check_output(["git", "-C", tree.root, "rev-parse", "HEAD"], text=True))
    assert tree.faults() == "", "a clone without history cannot tell"
    shallow.unlink()
    assert tree.faults() == told
    monkeypatch.setenv("PATH", str(tree.root))
    assert tree.faults() == "", "without git nothing can"


@pytest.mark.parametrize(
    "sentence",
    ["It reaches 79.3 mIoU at interval 4.", "Runs 4.7x faster.", "It is 4.7 times as fast.", "It is 5 times as fast.",
     "A frame takes 12 ms.", "Up to 45 frames per second.", "Up to\n45 fps.", "Flicker falls by 43%.",
     "Flicker falls by 43 percent.", "It gains 2.3 points.", "- mIoU: 79.3\n- TC: 95.1", "## 79.3 mIoU on CamVid",
     "<table><tr><td>mIoU</td><td>79.3</td></tr></table>", "![mIoU of 79.3](x.png)", "> TC is **91.4**.",
     "300 frames take 2.8 GB.", "The loss falls from 2.5 to 0.5."],
)  # fmt: skip
def test_a_figure_in_a_sentence_fails(tree: Tree, sentence: str) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n{sentence}\n\nMore.\n")
    tree.call("write")
    first = sentence.splitlines()[0].lstrip("->").strip()
    assert tree.faults() == f"README.md: figures without a measurement: {first}"
    for mark in ("<!-- not measured: a target -->\n", "<!-- not measured: a target -->\n\n"):
        tree.readme.write_text(f"{BLOCK}\n{mark}{sentence}\n\nMore.\n")
        tree.call("write")
        assert tree.faults() == ""
    tree.readme.write_text(f"{BLOCK}\n<!-- not measured: a target -->\nA target.\n\n{sentence}\n")
    tree.call("write")
    assert tree.faults() != "", "the mark is for one paragraph"


@pytest.mark.parametrize(
    "sentence",
    ["In brackets the 95% interval of mIoU.", "Needs python3 (3.10 or newer).", "CamVid val at 15 Hz.",
     "A weight of 0.5 suits it.", "Images of 480x360.", "`--scale 0.75` is faster.", "mIoU, see [here](a/0.5.md).",
     "It is about mIoU. A weight of 0.5 suits it.",
     "The mIoU is <!-- value: fake rows.1.miou % -->73.7<!-- /value -->.",
     "TC of OpenVINO 2026.4.1.", "Twice as fast.", "Wait 20 frames."],
)  # fmt: skip
def test_other_numbers_in_a_sentence_need_no_mark(tree: Tree, sentence: str) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n{sentence}\n")
    tree.call("write")
    assert tree.faults() == ""


@pytest.mark.parametrize(
    "block",
    ["```text\nmethod  mIoU\npath    73.7\n```\n", "```console\n$ segtween bench\nmethod  mIoU\npath    73.7\n```\n",
     "```\nsegtween evaluate \\\n  --scale 0.5\nmethod  mIoU\npath    73.7\n```\n",
     "```python\nrun()  # TC of 79.3\n```\n",
     "It prints\n\n    method  mIoU\n    path    73.7\n"],
    ids=["text", "console", "below its command", "comment", "indented"],
)  # fmt: skip
def test_no_printed_block_escapes(tree: Tree, block: str) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n{block}")
    tree.call("write")
    assert tree.faults().startswith("README.md: figures without a measurement: ")


@pytest.mark.parametrize(
    "cell",
    ["74", "**1,234**", "+5", "74.3", "3.9x", "19.4 ms", "19 ms", "92%", "92 %", "**75.6**", "+0.8 (+0.1 to +1.5)"],
)
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
    "table",
    [
        "  | | |\n  | --- | ---: |\n  | a | 74.3 |\n",
        "> | | |\n> | --- | ---: |\n> | a | 74.3 |\n",
        "- | | |\n  | --- | ---: |\n  | a | 74 |\n",
        "| mIoU | 74.3 |\n| --- | ---: |\n| a | b |\n",
        "| mIoU | 74.3 |\n",
        "mIoU | TC\n--- | ---\na | 74.3\n",
        "> ```\n> method  mIoU\n> path    73.7\n> ```\n",
        "  ```\n  method  mIoU\n  path    73.7\n  ```\n",
        "~~~\nmethod  runs\npath      20\n~~~\n",
    ],
    ids=["indented", "quoted", "in a list", "header", "header alone", "no outer bars", "quoted print", "indented print",
         "whole numbers printed"],
)  # fmt: skip
def test_no_table_of_figures_escapes(tree: Tree, table: str) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n{table}")
    tree.call("write")
    assert tree.faults().startswith("README.md: figures without a measurement: ")
    quoted = "> " if table.startswith(">") else ""
    tree.readme.write_text(f"{BLOCK}\n{quoted}<!-- not measured: published by others -->\n{table}")
    tree.call("write")
    assert tree.faults() == ""


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


@pytest.mark.parametrize(
    "text",
    ["```\nsrc/\n  engine.py     the step\n```\n", "```yaml\nclasses: 19.5\n```\n", "a | b, 74.3 in a sentence\n",
     "~~~\n```\na  b\n```\n~~~\n", "```\nsegtween bench \\\n  --scale 0.5\nmake demo\n```\n",
     "- a list\n\n    of 0.5  and  2\n",
     "```python\nscale = 0.5  # of the frame\n```\n"],
)  # fmt: skip
def test_other_text_needs_no_mark(tree: Tree, text: str) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n{text}")
    tree.call("write")
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
        ({"clips": None}, "lacks clips; run it again"),
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
    gone = [key for key, value in change.items() if value is None]
    path.write_text(json.dumps({key: value for key, value in record.items() if key not in gone}))
    assert told in tree.faults()


def test_a_stored_measurement_that_nobody_names_fails(tree: Tree) -> None:
    tree.measure()
    tree.yaml("measurements", {})
    assert "fake.json: no such measurement in measurements.yaml" in tree.faults()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("measurements", "fake: [", "measurements.yaml is not YAML (while parsing"),
        ("measurements", "- fake", "measurements.yaml holds a list; expected names with what belongs to them"),
        ("measurements", "fake: {figures: f.json}", "measurements.yaml: fake has no command; expected one; add it"),
        ("views", "all: {of: fake", "views.yaml is not YAML (while parsing"),
        ("views", "all: fake", "views.yaml: all is of no measurement; expected of: NAME; add it"),
        ("views", "all: {of: fake}", "views.yaml: all shows nothing; expected columns or printed; add them"),
        ("views", "all: {of: fake, columns: {mIoU: '{miou:%q}'}}", "format %q of 0.743 cannot be used"),
        ("views", "all: {of: fake, columns: {mIoU: '{miou'}}", "format {miou cannot be used (expected '}'"),
        ("views", "all: {of: fake, columns: {mIoU: '{$none:%}'}}", "field 'none' is unknown; expected one of row"),
    ],
)
def test_files_that_cannot_be_read_are_told_in_one_line(
    tree: Tree, name: str, content: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.measure()
    (tree.place / f"{name}.yaml").write_text(content)
    capsys.readouterr()
    code = tree.call("check")
    said = capsys.readouterr()
    assert code in (1, 2)
    assert told in said.out + said.err


@pytest.mark.parametrize(
    ("form", "told"), [("%q", "format %q of 0.737 cannot be used"), (".f", "format .f of 0.737 cannot be used")]
)
def test_a_figure_of_an_impossible_format_is_told(
    tree: Tree, form: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.measure()
    tree.readme.write_text(f"{BLOCK}\n<!-- value: fake rows.1.miou {form} -->73.7<!-- /value -->\n")
    capsys.readouterr()
    assert tree.call("write") == 1
    assert told in capsys.readouterr().out
    assert f"README.md: the figure fake rows.1.miou: {told}" in tree.faults()


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"of": "fake", "columns": COLUMNS, "rows": ["nothing"]}, "no nothing in the figures; expected one of rows"),
        ({"of": "fake", "columns": COLUMNS, "where": {"row": ["x"]}}, "view all: no row has row 'x'; expected one of"),
        ({"of": "fake", "printed": "nothing"}, "no printed line holds nothing"),
        ({"of": "fake", "columns": ["row"]}, "table 'None' is unknown"),
    ],
)
def test_a_view_of_what_is_not_there_fails(tree: Tree, view: dict[str, Any], told: str) -> None:
    tree.measure()
    tree.yaml("views", {"all": view})
    assert told in tree.faults()


@pytest.mark.slow
def test_every_table_of_the_documents_is_what_its_json_says() -> None:
    assert checking.faults(ROOT) == []
