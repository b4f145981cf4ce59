"""What pages are made of: every text is escaped, and a file has its name only when it is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from page_reader import Page

from segtween.errors import SinkError
from segtween.reports.html.page import (
    check_target,
    code,
    details,
    numbers,
    page,
    paragraph,
    picture,
    record,
    section,
    table,
)
from segtween.video.staging import write_text

EVIL = '<b onclick="x">&\'</script>'


def test_every_text_is_escaped() -> None:
    parts = [
        paragraph(EVIL), paragraph(EVIL, note=True), code(EVIL), numbers([(EVIL, EVIL, EVIL)]),
        table([EVIL, EVIL], [[EVIL, EVIL]], caption=EVIL), record({EVIL: {EVIL: EVIL}}),
        details(EVIL), picture(np.zeros((4, 4, 3), np.uint8), alt=EVIL),
    ]  # fmt: skip
    html = page(EVIL, EVIL, [section(EVIL, *parts)], data={"name": EVIL})
    read = Page(html)
    assert not read.all("b")
    assert read.data == {"name": EVIL}
    assert read.text.count(EVIL) == 19
    assert read.all("img")[0]["alt"] == EVIL


def test_a_section_without_content_is_left_out() -> None:
    assert section("Nothing", "", "") == ""
    assert Page(page("a", "b", [section("x", ""), section("y", paragraph("z"))])).headings == ["a", "y"]


def test_nested_values_are_told_by_their_path() -> None:
    read = Page(record({"flow": {"quality": "fine", "grid": [1, 2]}, "empty": {}, "none": None}))
    assert read.text == "flow: quality fine flow: grid [1, 2] empty {} none null"


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    assert write_text("old", target) == target

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SinkError, match="no space is left to write"):
        write_text("new", target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_where_no_page_can_be_written(tmp_path: Path) -> None:
    check_target(tmp_path / "report.html")
    for target in (tmp_path, tmp_path / "missing" / "report.html"):
        with pytest.raises(SinkError, match=r"report .*; expected a file in a folder that is there"):
            check_target(target)
    (tmp_path / "report.html").write_text("")
    with pytest.raises(SinkError, match=r"report\.html exists; expected no such file yet"):
        check_target(tmp_path / "report.html", overwrite=False)
