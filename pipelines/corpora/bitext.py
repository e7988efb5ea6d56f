"""What readers of text pairs share."""

from __future__ import annotations

from pipelines.corpora.manifest import sentence_key, transcript_of
from pipelines.pairs import Pair


def bitext_pair(id: str, one: tuple[str, str], other: tuple[str, str], *, provenance: str) -> Pair:
    """A training pair of two texts; if one is English it is the target, else the other one.

    Pairs of one target share a sentence id: they are each other's right answers.

    Args:
        id: unique within the corpus.
        one: its language, a key of `LANGUAGES`, and the text.
        other: the same.
        provenance: the corpus.

    Raises:
        Rejected: `empty-transcript`, `invalid-row` (too long), `invalid-utf8`.
    """
    source, target = (other, one) if one[0] == "en" else (one, other)
    text = transcript_of({"transcript": target[1]})
    return Pair(
        id=id,
        task="bitext",
        source_language=source[0],
        source_text=transcript_of({"transcript": source[1]}),
        target_language=target[0],
        target_text=text,
        sentence_id=sentence_key(text),
        split="train",
        provenance=provenance,
    )
