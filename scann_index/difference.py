"""The difference of two scores of which nothing is known but their own intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Scored = tuple[float, Sequence[float]]
"""A score, and the lower and upper end of its own interval."""


def independent(one: Scored, other: Scored) -> tuple[float, float]:
    """The 95% interval of `one - other` where nothing ties the queries of the two to each other.

    It takes no more than their own intervals: the distances to the ends that make the difference
    small add up as deviations do, and those that make it large (Zou & Donner 2008, "Construction
    of confidence limits about effect measures"). For queries that are in fact the same it is wider
    than it need be.
    """
    (a, (a_low, a_high)), (b, (b_low, b_high)) = one, other
    down = float(np.hypot(a - a_low, b_high - b))
    up = float(np.hypot(a_high - a, b - b_low))
    return a - b - down, a - b + up
