from __future__ import annotations

import numpy as np
import pytest

from segtween.errors import SettingError
from segtween.refine.blend import ReliabilityBlend, Replace


def test_the_history_counts_by_its_reliability() -> None:
    reliability = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    share = ReliabilityBlend(weight=0.6)(reliability)
    assert share is not None
    np.testing.assert_allclose(share, 0.6 * reliability, atol=1e-6)


def test_where_it_does_not_count_nothing_is_blended() -> None:
    one = np.ones((3, 4), np.float32)
    assert Replace()(one) is None
    assert ReliabilityBlend(weight=0.0)(one) is None


@pytest.mark.parametrize("weight", [-0.1, 1.0, float("nan")])
def test_a_weight_outside_its_range_is_refused(weight: float) -> None:
    with pytest.raises(SettingError, match="history weight is .*expected 0 or more, below 1"):
        ReliabilityBlend(weight=weight)
