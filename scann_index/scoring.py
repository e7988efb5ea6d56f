"""One language scored: how well its speech and text find each other, and its speech English text.

The tasks are the paper's (arXiv 2404.01616, sections 4, 5): speech→text retrieval with recall and
the error rate of the text that was found, and speech translation by retrieval with BLEU.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from model import metrics
from pipelines import (
    quiet,  # noqa: F401  (before Beam)
    storage,
)
from pipelines.utterance import LANGUAGES
from scann_index.retrieval import Candidates, Retrieval, retrieve

import apache_beam as beam  # isort: skip

if TYPE_CHECKING:
    from scann_index.bundle import Bundle

CUTOFFS = (1, 5, 10)
SCRIPTS_WITHOUT_SPACES = frozenset({"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr"})
"""ISO 15924 codes; a word error rate would take a whole sentence for one word."""


class ScoreLanguage(beam.DoFn):
    """A language to a JSON file of its scores.

    Args:
        index: folder of the bundle, which each worker opens for itself.
        folder: where `xx.json` is written.
        split: as in `score_language`, and so are the others.
        limit: only so many queries a task.
        examples: so many hits and so many misses.
    """

    def __init__(
        self, index: str, folder: str, split: str, limit: int | None, examples: int
    ) -> None:
        self.index = index
        self.folder = folder
        self.arguments: dict[str, Any] = {"split": split, "limit": limit, "examples": examples}

    def setup(self) -> None:
        """Opens the index once per worker."""
        from scann_index.bundle import Bundle

        self.bundle = Bundle.open(self.index)

    def process(self, language: str) -> Iterator[str]:
        """Yields the path of the file once it is written."""
        path = storage.join(self.folder, f"{language}.json")
        storage.write_json(path, score_language(self.bundle, language, **self.arguments))
        yield path


def measure(retrieval: Retrieval | None) -> dict[str, Any] | None:
    """Recall, mean reciprocal rank and their 95% bootstrap intervals, by the index and, where that
    differs, by exact comparison."""
    if retrieval is None:
        return None
    right = Counter(retrieval.pool.sentences)
    pool = len(retrieval.pool.rows)
    same = np.array_equal(retrieval.ranks, retrieval.exact_ranks)
    return {
        "queries": len(retrieval.queries),
        "queries_without_answer": retrieval.unanswerable,
        "pool": pool,
        "chance": float(np.mean([right[row.sentence_id] / pool for row in retrieval.queries])),
        **rank_metrics(retrieval.ranks),
        "truncated_at": retrieval.pool.truncated_at,
        "exact_search": None if same else rank_metrics(retrieval.exact_ranks),
    }


def rank_metrics(ranked: np.ndarray) -> dict[str, Any]:
    """`recall_at_1`, `_5`, `_10` and `mean_reciprocal_rank`, each followed by its interval.

    Args:
        ranked: int64 `[queries]`, of the best right answer, 1 for the top.
    """
    values: dict[str, Any] = {}
    for cutoff in CUTOFFS:
        values[f"recall_at_{cutoff}"] = metrics.recall_at(ranked, cutoff)
        interval = metrics.bootstrap_interval(ranked <= cutoff)
        values[f"recall_at_{cutoff}_interval"] = list(interval)
    values["mean_reciprocal_rank"] = metrics.mean_reciprocal_rank(ranked)
    values["mean_reciprocal_rank_interval"] = list(metrics.bootstrap_interval(1 / ranked))
    return values


def error_rates(retrieval: Retrieval, language: str) -> dict[str, float | None]:
    """Word and character error rate of the text found first against what was said, as written.

    Over the queries whose transcript is known, None if there are none; the word error rate is None
    too for a language written without spaces.
    """
    import jiwer

    pairs = zip(retrieval.queries, retrieval.hits, strict=True)
    known = [(query.text, hit.text) for query, hit in pairs if query.text]
    said, found = [text for text, _ in known], [text for _, text in known]
    has_words = LANGUAGES[language].script not in SCRIPTS_WITHOUT_SPACES
    return {
        "word_error_rate": float(jiwer.wer(said, found)) if known and has_words else None,
        "character_error_rate": float(jiwer.cer(said, found)) if known else None,
    }


def translation_scores(retrieval: Retrieval) -> dict[str, Any]:
    """Corpus BLEU and chrF (0 to 100) of the text found first, and the signatures of both.

    The reference is the first row of the pool that has the query's sentence id.
    """
    from sacrebleu import BLEU, CHRF

    text: dict[str, str] = {}
    for row in retrieval.pool.rows:
        text.setdefault(row.sentence_id, row.text)
    references = [[text[row.sentence_id] for row in retrieval.queries]]
    found = [row.text for row in retrieval.hits]
    bleu, chrf = BLEU(), CHRF()
    return {
        "bleu": bleu.corpus_score(found, references).score,
        "chrf": chrf.corpus_score(found, references).score,
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }


def score_language(
    bundle: Bundle,
    language: str,
    *,
    split: str = "test",
    limit: int | None = None,
    examples: int = 3,
) -> dict[str, Any]:
    """Everything that is reported of one language, as JSON values.

    Args:
        bundle: the index.
        language: ISO 639 code.
        split: whose rows are queries and pools.
        limit: only so many queries a task.
        examples: so many hits and so many misses are kept to be shown.

    Returns:
        `speech_to_text`, `text_to_speech` and `speech_to_english`, each as `measure` gives it (the
        first with `error_rates`, the last with `translation_scores`; None where there are no
        queries, and for English into English); and `examples`, as `choose_examples` gives them.
    """

    def candidates(modality: str, of: str) -> Candidates:
        return Candidates(bundle.shards(modality=modality, language=of), split)

    speech, text = candidates("speech", language), candidates("text", language)
    english = text if language == "en" else candidates("text", "en")
    to_text = retrieve(speech, text, limit)
    to_english = None if language == "en" else retrieve(speech, english, limit)
    speech_to_text, speech_to_english = measure(to_text), measure(to_english)
    if to_text and speech_to_text:
        speech_to_text.update(error_rates(to_text, language))
    if to_english and speech_to_english:
        speech_to_english.update(translation_scores(to_english))
    return {
        "speech_to_text": speech_to_text,
        "text_to_speech": measure(retrieve(text, speech, limit)),
        "speech_to_english": speech_to_english,
        "examples": choose_examples(to_text, english, examples) if to_text else [],
    }


def choose_examples(retrieval: Retrieval, english: Candidates, count: int) -> list[dict[str, Any]]:
    """At most `count` hits and `count` misses, drawn by the hash of the query's id, not picked."""
    meaning = {row.sentence_id: row.text for row in english.rows}
    drawn = sorted(
        range(len(retrieval.queries)),
        key=lambda i: hashlib.sha256(retrieval.queries[i].id.encode()).digest(),
    )
    hits = [i for i in drawn if retrieval.ranks[i] == 1][:count]
    misses = [i for i in drawn if retrieval.ranks[i] > 1][:count]
    return [_example(retrieval, i, meaning) for i in hits + misses]


def _example(retrieval: Retrieval, i: int, meaning: dict[str, str]) -> dict[str, Any]:
    query = retrieval.queries[i]
    found = [retrieval.pool.rows[place] for place in retrieval.top[i]]
    return {
        "id": query.id,
        "sentence_id": query.sentence_id,
        "transcript": query.text,
        "english": meaning.get(query.sentence_id),
        "audio": query.audio,
        "speaker": query.speaker,
        "seconds": query.seconds,
        "rank": int(retrieval.ranks[i]),
        "top": [
            {
                "text": row.text,
                "english": meaning.get(row.sentence_id),
                "sentence_id": row.sentence_id,
                "score": float(score),
                "right": row.sentence_id == query.sentence_id,
            }
            for row, score in zip(found, retrieval.top_scores[i], strict=True)
            if np.isfinite(score)
        ],
    }
