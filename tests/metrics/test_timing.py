from __future__ import annotations

import pytest

from segtween.metrics import Timing


def test_quartiles_by_stage() -> None:
    timing = Timing()
    for ms in (1.0, 2.0, 3.0, 4.0, 100.0):
        timing.update({"flow": ms})
    timing.update({"segment": 7.0})
    assert timing.compute() == {
        "flow": {"median": 3.0, "q1": 2.0, "q3": 4.0, "frames": 5},
        "segment": {"median": 7.0, "q1": 7.0, "q3": 7.0, "frames": 1},
    }
    timing.reset()
    assert timing.compute() == {}


def test_between_two_values() -> None:
    timing = Timing()
    timing.update({"flow": 1.0})
    timing.update({"flow": 2.0})
    assert timing.compute()["flow"]["q1"] == pytest.approx(1.25)
