from __future__ import annotations

from statistics import NormalDist

import pytest

from segtween.metrics.student import central_probability, central_quantile

# Two-sided 90%, 95% and 99%, from printed tables of the t distribution.
TABLE = {
    1: (6.314, 12.706, 63.657),
    2: (2.920, 4.303, 9.925),
    3: (2.353, 3.182, 5.841),
    4: (2.132, 2.776, 4.604),
    9: (1.833, 2.262, 3.250),
    11: (1.796, 2.201, 3.106),
    18: (1.734, 2.101, 2.878),
    30: (1.697, 2.042, 2.750),
    120: (1.658, 1.980, 2.617),
}


@pytest.mark.parametrize("degrees", TABLE)
def test_quantiles_are_those_of_the_tables(degrees: int) -> None:
    got = [central_quantile(level, degrees) for level in (0.90, 0.95, 0.99)]
    assert got == pytest.approx(TABLE[degrees], abs=6e-4)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 50, 999])
def test_quantile_and_probability_undo_each_other(degrees: int) -> None:
    for level in (0.01, 0.5, 0.95, 0.999):
        assert central_probability(central_quantile(level, degrees), degrees) == pytest.approx(level, abs=1e-12)


def test_many_degrees_are_the_normal_distribution() -> None:
    assert central_quantile(0.95, 100_000) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-4)
