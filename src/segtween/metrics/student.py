"""Student's t distribution, as far as intervals need it."""

from __future__ import annotations

from functools import cache
from math import atan, cos, pi, sin, sqrt


def central_probability(t: float, degrees: int) -> float:
    """P(|T| <= t) for `degrees` >= 1 whole degrees of freedom: exact, a sum of about degrees / 2 terms.

    Abramowitz and Stegun: Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = atan(t / sqrt(degrees))
    is_odd = degrees % 2 == 1
    term = cos(angle) if is_odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(3 if is_odd else 2, degrees, 2):
        term *= cos(angle) ** 2 * (k - 1) / k
        total += term
    return 2 / pi * (angle + sin(angle) * total) if is_odd else sin(angle) * total


@cache
def central_quantile(level: float, degrees: int) -> float:
    """The t with P(|T| <= t) = `level`, 0 < level < 1, for `degrees` >= 1: 12.706 for 0.95 and 1."""
    low, high = 0.0, 1.0
    while central_probability(high, degrees) < level:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        if central_probability(middle, degrees) < level:
            low = middle
        else:
            high = middle
    return high
