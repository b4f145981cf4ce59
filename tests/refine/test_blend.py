from __future__ import annotations

import numpy as np
import pytest

from segtween.refine.blend import ReliabilityBlend, Replace
from segtween.types import Carried


def carried(value: float) -> Carried:
    return Carried(np.full((2, 3, 4), value, np.float32), "probabilities", (12, 16))


def test_the_blend_follows_the_reliability_of_every_cell() -> None:
    reliability = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    fresh, history = carried(0.0), carried(1.0)
    blended = ReliabilityBlend(weight=0.6)(fresh, history, reliability)
    np.testing.assert_allclose(blended.values[0], 0.6 * reliability, atol=1e-6)
    assert blended.kind == "probabilities"
    assert not fresh.values.any()
    assert (history.values == 1).all()


def test_the_baselines_leave_scores_alone() -> None:
    fresh, history = carried(0.2), carried(0.7)
    one = np.ones((3, 4), np.float32)
    assert Replace()(fresh, history, one) is fresh


@pytest.mark.parametrize("weight", [-0.1, 1.0, float("nan")])
def test_a_weight_outside_its_range_is_refused(weight: float) -> None:
    from segtween.errors import SettingError

    with pytest.raises(SettingError, match="history weight is .*expected 0 or more, below 1"):
        ReliabilityBlend(weight=weight)
