"""Texts as TF-IDF vectors of their character n-grams: what one matches noisy transcripts with."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

LENGTHS = (2, 4)
"""Shortest and longest n-gram; words are padded with spaces, so that ends count too."""


def text_key(text: str) -> str:
    """The text without case, punctuation and repeated spaces, which transcripts have at random."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(" " if unicodedata.category(c)[0] in "PCZ" else c for c in folded)
    return " ".join(kept.split())


def ngram_vectors(pool: Sequence[str], *others: Sequence[str]) -> list[np.ndarray]:
    """Vectors of unit length whose inner products say how alike two texts are.

    N-grams are weighed by how rare they are in the pool; those it doesn't have count nothing.

    Args:
        pool: the texts that are searched.
        others: further texts, queries.

    Returns:
        float32 `[texts, n-grams of the pool]` of the pool and of each of the others; a text that
        shares nothing with the pool is a row of zeros.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=LENGTHS, sublinear_tf=True, dtype=np.float32
    )
    if not any(pool):
        return [np.zeros((len(texts), 1), np.float32) for texts in (pool, *others)]
    vectorizer.fit(pool)
    return [
        vectorizer.transform(texts).toarray()
        if texts
        else np.zeros((0, len(vectorizer.vocabulary_)), np.float32)
        for texts in (pool, *others)
    ]
