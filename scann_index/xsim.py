"""xsim: how often a query's counterpart is not the best of the pool by the ratio margin.

The error that LASER's authors measure encoders with (Heffernan, Çelebi & Schwenk 2022, "Bitext
Mining Using Distilled Sentence Representations for Low-Resource Languages", section 4): like
1 - recall@1, but candidates are compared by `scann_index.margin` with k = 4 instead of by cosines,
as a miner would. It is computed by exact comparison, whatever the index.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scann_index.margin import Neighbours, ratio_margins

K = 4
"""So many neighbours on either side make up a neighbourhood."""


def errors(
    forward: Neighbours, backward: np.ndarray, wanted: Sequence[str], sentences: Sequence[str]
) -> np.ndarray:
    """Which queries do not find their counterpart.

    Args:
        forward: the `K` rows of the pool nearest to each query.
        backward: float32 `[pool, K]`, the cosines of each row of the pool with the queries nearest
            to it, in any order; -inf where there are fewer queries.
        wanted: the sentence id of each query.
        sentences: the sentence id of each row of the pool.

    Returns:
        bool `[queries]`. A right row whose margin a wrong one shares is an error.
    """
    known = np.where(np.isfinite(backward), 0, -1)
    margins = ratio_margins(forward, Neighbours(known, backward).mean)
    names = np.asarray(sentences, object)[np.maximum(forward.indices, 0)]
    right = (names == np.asarray(wanted, object)[:, None]) & (forward.indices >= 0)
    best_right = np.where(right, margins, -np.inf).max(axis=1, initial=-np.inf)
    best_wrong = np.where(right, -np.inf, margins).max(axis=1, initial=-np.inf)
    wrong: np.ndarray = ~(best_right > best_wrong)
    return wrong
