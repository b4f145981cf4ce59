"""What all reports of speed have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from fakes import BrightnessSegmenter
from segtween.bench.plan import Plan, RatePlan
from segtween.bench.report import Header, MethodReport, versions
from segtween.build import build_engine, method
from segtween.errors import SettingError
from segtween.settings import PRESETS
from segtween.texttable import TextTable
from segtween.types import Method

PLAN = Plan((64, 128), clip="textured")


class Noted(BrightnessSegmenter):
    notes = ("its weights are random", "its weights are random")
    scale = 0.5


@dataclass(frozen=True)
class Counted(MethodReport):
    frames: int

    def figures(self) -> dict[str, Any]:
        return {"frames": self.frames}

    def figure_tables(self) -> list[TextTable]:
        return [TextTable(self.header.title, ["frames"], [[f"{self.frames}"]])]

    def remarks(self) -> list[str]:
        return ["counted twice"]

    @property
    def basis(self) -> str:
        return "medians of 3 periods"


@pytest.fixture(scope="module")
def composed() -> Method:
    return method(build_engine(BrightnessSegmenter(), PRESETS["composed"]), name="composed")


def test_a_report_is_the_header_and_its_own_figures(composed: Method) -> None:
    header = Header.of(Noted(), composed, plan=PLAN, threads=2, notes=["one cut"])
    record = json.loads(json.dumps(Counted(header, frames=7).to_json(), allow_nan=False))
    assert record.pop("method") == json.loads(json.dumps(composed.to_json()))
    assert record.pop("versions") == versions()
    assert record == {
        "size_hw": [64, 128],
        "clip": "textured",
        "scale": 0.5,
        "model": "callable",
        "runtime": "python",
        "precision": "unknown",
        "threads": 2,
        "notes": ["its weights are random", "one cut"],
        "frames": 7,
    }


def test_tables_come_before_one_text_of_remarks(composed: Method) -> None:
    header = Header.of(Noted(), composed, plan=PLAN, threads=2)
    table, text = Counted(header, frames=7).tables()
    assert isinstance(table, TextTable)
    assert "on frames of 128x64 (width x height) of the clip textured, scale 0.5, python in unknown" in table.title
    lines = str(text).splitlines()
    assert lines[0] == "counted twice"
    assert lines[1] == f"method composed {composed.hash}, online; medians of 3 periods"
    assert lines[2].startswith("python 3")
    assert lines[3:] == ["its weights are random"]


def test_a_device_has_no_threads_of_its_own(composed: Method) -> None:
    assert "threads" not in Header.of(Noted(), composed, plan=PLAN).to_json()


def test_plans_are_checked_when_they_are_made() -> None:
    plan = Plan((64, 64), intervals=[4, 0, 2, 4])
    assert plan.above == [2, 4]
    assert plan.periods == 2 + 7
    with pytest.raises(SettingError, match="0 repeats on frames of 64x64; expected 1 repeat or more"):
        Plan((64, 64), repeats=0)
    rate = RatePlan((64, 64), rate=10, seconds=2.5)
    assert rate.due == 25
    assert rate.in_time([50.0, 100.0, 100.5], 4) == 0.5, "the fourth was dropped"
    with pytest.raises(SettingError, match="1001 frames per second for 1 s, of 64x64; expected a rate of up to 1000"):
        RatePlan((64, 64), rate=1001, seconds=1)
