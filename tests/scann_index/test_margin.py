from __future__ import annotations

import numpy as np
import pytest

from scann_index.margin import BACKWARD, FORWARD, Neighbours, match, nearest, ratio_margins
from tests.scann_index.synthetic import clustered

# Cosines of two left rows with three right rows. Right row 0 lies near to everything.
COSINES = np.array([[0.8, 0.6, 0.1], [0.9, 0.3, 0.5]], np.float32)


def neighbours(cosines: np.ndarray, k: int) -> Neighbours:
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return Neighbours(order, np.take_along_axis(cosines, order, axis=1))


@pytest.fixture
def forward() -> Neighbours:
    return neighbours(COSINES, 2)


@pytest.fixture
def backward() -> Neighbours:
    return neighbours(COSINES.T, 2)


def pairs(matches) -> list[tuple[int, int]]:
    return list(zip(matches.left.tolist(), matches.right.tolist(), strict=True))


def test_margins_are_those_reckoned_by_hand(forward, backward):
    # Means of the two nearest: left .7 and .7; right (.9 + .8) / 2, (.6 + .3) / 2, (.5 + .1) / 2.
    np.testing.assert_allclose(forward.mean, [0.7, 0.7], rtol=1e-6)
    np.testing.assert_allclose(backward.mean, [0.85, 0.45, 0.3], rtol=1e-6)
    margins = ratio_margins(forward, backward.mean)
    assert forward.indices.tolist() == [[0, 1], [0, 2]]
    expected = [[0.8 / 0.775, 0.6 / 0.575], [0.9 / 0.775, 0.5 / 0.5]]
    np.testing.assert_allclose(margins, expected, rtol=1e-6)


def test_a_row_near_to_everything_loses_to_one_that_stands_out(forward, backward):
    assert forward.indices[0, 0] == 0
    matches = match(forward, backward, "forward")
    assert (0, 1) in pairs(matches)
    assert matches.margins[pairs(matches).index((0, 1))] == pytest.approx(0.6 / 0.575)


def test_each_retrieval_gives_the_pairs_it_should(forward, backward):
    # Margins: (1,0) 1.161, (0,1) 1.043, (0,0) 1.032, (1,2) 1.0, (1,1) .522, (0,2) .2.
    assert pairs(match(forward, backward, "forward")) == [(1, 0), (0, 1)]
    assert pairs(match(forward, backward, "backward")) == [(1, 0), (0, 1), (1, 2)]
    assert pairs(match(forward, backward, "intersection")) == [(1, 0), (0, 1)]
    assert pairs(match(forward, backward, "max")) == [(1, 0), (0, 1)]
    found = match(forward, backward, "intersection")
    assert found.directions.tolist() == [FORWARD + BACKWARD] * 2


def test_max_keeps_what_only_one_direction_finds_and_uses_no_row_twice():
    # Left row 1 is nobody's best, yet right row 1 is left over for it.
    cosines = np.array([[0.9, 0.5], [0.8, 0.6]], np.float32)
    forward, backward = neighbours(cosines, 2), neighbours(cosines.T, 2)
    # Left means .7 .7, right means .85 .55: (0,0) 1.161, (1,0) 1.032, (1,1) .96, (0,1) .8.
    assert pairs(match(forward, backward, "forward")) == [(0, 0), (1, 0)]
    assert pairs(match(forward, backward, "backward")) == [(0, 0), (1, 1)]
    assert pairs(match(forward, backward, "intersection")) == [(0, 0)]
    found = match(forward, backward, "max")
    assert pairs(found) == [(0, 0), (1, 1)]
    assert found.directions.tolist() == [FORWARD + BACKWARD, BACKWARD]


def test_searching_a_collection_in_parts_finds_the_same_neighbours():
    left, right = clustered(40, seed=1), clustered(60, seed=2)
    whole = neighbours(left @ right.T, 4)
    parts = []
    for start, stop in ((0, 25), (25, 27), (27, 60)):
        part = neighbours(left @ right[start:stop].T, 4)
        parts.append(Neighbours(part.indices + start, part.cosines))
    merged = nearest(parts, 4)
    np.testing.assert_array_equal(merged.indices, whole.indices)
    np.testing.assert_allclose(merged.cosines, whole.cosines, rtol=1e-6)


def test_missing_neighbours_are_left_out_of_means_and_matches():
    forward = Neighbours(
        np.array([[1, -1], [-1, -1]]), np.array([[0.6, -np.inf], [-np.inf, -np.inf]], np.float32)
    )
    backward = Neighbours(
        np.array([[0, 1], [0, -1]]), np.array([[0.2, 0.1], [0.6, -np.inf]], np.float32)
    )
    assert forward.mean[0] == pytest.approx(0.6)
    assert np.isnan(forward.mean[1])
    found = match(forward, backward, "forward")
    assert pairs(found) == [(0, 1)]
    assert found.margins[0] == pytest.approx(1.0)


def test_a_neighbourhood_at_right_angles_gives_no_margin_instead_of_a_huge_one():
    forward = neighbours(np.array([[-0.1, -0.5]], np.float32), 2)
    backward = neighbours(np.array([[-0.1], [-0.5]], np.float32), 2)
    assert ratio_margins(forward, backward.mean).tolist() == [[0.0, 0.0]]


def test_an_unknown_retrieval_is_refused(forward, backward):
    with pytest.raises(ValueError, match="'both' is none of intersection, max"):
        match(forward, backward, "both")
