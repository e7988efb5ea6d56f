"""One language scored: how well its speech and text find each other, and its speech English text.

The tasks are the paper's (arXiv 2404.01616, sections 4, 5): speech→text retrieval with recall and
the error rate of the text that was found, and speech translation by retrieval with BLEU.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from model import metrics
from pipelines.utterance import LANGUAGES
from scann_index import groups
from scann_index.confidence import mean_interval, share_interval
from scann_index.retrieval import Candidates, Retrieval, retrieve

if TYPE_CHECKING:
    from scann_index.bundle import Bundle

CUTOFFS = (1, 5, 10)
TASKS = ("speech_to_text", "text_to_speech", "speech_to_english")
SCRIPTS_WITHOUT_SPACES = frozenset({"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr"})
"""ISO 15924 codes; a word error rate would take a whole sentence for one word."""


def has_spaces(language: str) -> bool:
    """Whether words are written apart, without which a word error rate means nothing."""
    return LANGUAGES[language].script not in SCRIPTS_WITHOUT_SPACES


def sides(bundle: Bundle, language: str, split: str) -> dict[str, tuple[Candidates, Candidates]]:
    """The queries and the pool of each task of a language; English has no task into English."""

    def candidates(modality: str, of: str) -> Candidates:
        return Candidates(bundle.shards(modality=modality, language=of), split)

    speech, text = candidates("speech", language), candidates("text", language)
    tasks = {"speech_to_text": (speech, text), "text_to_speech": (text, speech)}
    if language != "en":
        tasks["speech_to_english"] = (speech, candidates("text", "en"))
    return tasks


def measure(retrieval: Retrieval | None) -> dict[str, Any] | None:
    """Recall, mean reciprocal rank and their 95% intervals, by the index and by exact comparison,
    and the xsim error."""
    if retrieval is None:
        return None
    wanted, pool = retrieval.wanted, len(retrieval.pool)
    right = Counter(retrieval.pool.sentences)
    same = np.array_equal(retrieval.ranks, retrieval.exact_ranks)
    exact = rank_metrics(retrieval.exact_ranks, wanted)
    index = exact if same else rank_metrics(retrieval.ranks, wanted)
    errors = retrieval.xsim_errors
    return {
        "queries": len(retrieval),
        "sentences": len(set(wanted)),
        "queries_without_answer": retrieval.unanswerable,
        "pool": pool,
        "pool_digest": retrieval.pool.digest,
        "chance": float(np.mean([right[sentence] / pool for sentence in wanted])),
        **index,
        "exact_search": dict(exact),
        "index_differs": not same,
        "index_loss_at_1": exact["recall_at_1"] - index["recall_at_1"],
        "xsim_error": float(np.mean(errors)),
        "xsim_error_interval": list(share_interval(errors, wanted)),
    }


def rank_metrics(ranked: np.ndarray, sentences: list[str]) -> dict[str, Any]:
    """`recall_at_1`, `_5`, `_10` and `mean_reciprocal_rank`, each followed by its interval.

    Args:
        ranked: int64 `[queries]`, of the best right answer, 1 for the top.
        sentences: the sentence id of each query.
    """
    values: dict[str, Any] = {}
    for cutoff in CUTOFFS:
        values[f"recall_at_{cutoff}"] = metrics.recall_at(ranked, cutoff)
        values[f"recall_at_{cutoff}_interval"] = list(share_interval(ranked <= cutoff, sentences))
    values["mean_reciprocal_rank"] = metrics.mean_reciprocal_rank(ranked)
    values["mean_reciprocal_rank_interval"] = list(mean_interval(1 / ranked, sentences))
    return values


def error_rates(retrieval: Retrieval, language: str) -> dict[str, float | None]:
    """Word and character error rate of the text found first against what was said, as written.

    Over the queries whose transcript is known, None if there are none; the word error rate is None
    too for a language written without spaces.
    """
    import jiwer

    pairs = zip(retrieval.column("text"), retrieval.hit_column("text"), strict=True)
    known = [(said, found) for said, found in pairs if said]
    said, found = [text for text, _ in known], [text for _, text in known]
    words = known and has_spaces(language)
    return {
        "word_error_rate": float(jiwer.wer(said, found)) if words else None,
        "character_error_rate": float(jiwer.cer(said, found)) if known else None,
    }


def translation_scores(retrieval: Retrieval) -> dict[str, Any]:
    """Corpus BLEU and chrF (0 to 100) of the text found first, and the signatures of both.

    The reference is the first row of the pool that has the query's sentence id.
    """
    from sacrebleu import BLEU, CHRF

    text: dict[str, str] = {}
    pool = retrieval.pool
    for sentence, written in zip(pool.sentences, pool.column("text"), strict=True):
        text.setdefault(sentence, written)
    references = [[text[sentence] for sentence in retrieval.wanted]]
    found = retrieval.hit_column("text")
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
    """Everything that is reported of one language, as JSON values, found in one go.

    Args:
        bundle: the index.
        language: ISO 639 code.
        split: whose rows are queries and pools.
        limit: only so many queries a task.
        examples: so many hits and so many misses are kept to be shown.

    Returns:
        As `describe`.
    """
    tasks = sides(bundle, language, split)
    found = {task: retrieve(*tasks[task], limit) for task in tasks}
    return describe(found, language, meanings(bundle, split), examples)


def meanings(bundle: Bundle, split: str) -> dict[str, str]:
    """The English text of each sentence."""
    english = Candidates(bundle.shards(modality="text", language="en"), split)
    return dict(zip(english.sentences, english.column("text"), strict=True))


def describe(
    found: Mapping[str, Retrieval | None],
    language: str,
    meaning: Mapping[str, str],
    examples: int,
) -> dict[str, Any]:
    """The scores of a language.

    Args:
        found: of each of `TASKS` that the language has; None where there are no queries.
        language: ISO 639 code.
        meaning: the English text of each sentence, as far as there is one.
        examples: so many hits and so many misses are kept to be shown.

    Returns:
        `speech_to_text`, `text_to_speech` and `speech_to_english`, each as `measure` gives it (the
        first with `error_rates`, the last with `translation_scores`; None where there are no
        queries, and for English into English); `groups` with every `gender` and `speaker`, as
        `groups.by_label` gives them; and `examples`, as `choose_examples` gives them.
    """
    scores: dict[str, Any] = {task: measure(found.get(task)) for task in TASKS}
    grouped: dict[str, Any] = {"gender": {}, "speaker": {}}
    to_text, to_english = found.get("speech_to_text"), found.get("speech_to_english")
    if to_text:
        scores["speech_to_text"].update(error_rates(to_text, language))
        for kind in grouped:
            labels = to_text.column(kind)
            grouped[kind] = groups.by_label(to_text.ranks == 1, labels, to_text.wanted)
    if to_english:
        scores["speech_to_english"].update(translation_scores(to_english))
    shown = choose_examples(to_text, meaning, examples) if to_text else []
    return {**scores, "groups": grouped, "examples": shown}


def choose_examples(
    retrieval: Retrieval, meaning: Mapping[str, str], count: int
) -> list[dict[str, Any]]:
    """At most `count` hits and `count` misses, drawn by the hash of the query's id, not picked."""
    hashes = [hashlib.sha256(one.encode()).digest() for one in retrieval.column("id")]
    drawn = sorted(range(len(hashes)), key=hashes.__getitem__)
    hits = [i for i in drawn if retrieval.ranks[i] == 1][:count]
    misses = [i for i in drawn if retrieval.ranks[i] > 1][:count]
    return [_example(retrieval, i, meaning) for i in hits + misses]


def _example(retrieval: Retrieval, i: int, meaning: Mapping[str, str]) -> dict[str, Any]:
    query = retrieval.query(i)
    top, scores = retrieval.found.top[i], retrieval.found.top_scores[i]
    there = top >= 0
    return {
        "id": query.id,
        "sentence_id": query.sentence_id,
        "transcript": query.text,
        "english": meaning.get(query.sentence_id),
        "audio": query.audio,
        "speaker": query.speaker,
        "gender": query.gender,
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
            for row, score in zip(retrieval.pool.rows_at(top[there]), scores[there], strict=True)
        ],
    }
