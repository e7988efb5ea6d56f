"""An evaluation as one HTML page that needs no network: numbers, charts and sound in a single file.

Whatever comes from data goes through `Markup.format`, which escapes it, and the page's own policy
forbids any script but the one written here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from pipelines.output_dir import VERSION, OutputDir
from pipelines.utterance import LANGUAGES
from scann_index import (
    charts,
    confusion_cards,
    confusions,
    cost,
    group_bars,
    index_loss,
    inequality,
    language_confusion,
    playable,
    provenance,
    sweep_chart,
)
from scann_index.charts import percent
from scann_index.results import GROUPS
from scann_index.retrieval import POOL
from scann_index.score_table import score_table

if TYPE_CHECKING:
    from scann_index.bundle import Bundle

CONFUSION_BYTES = 1_000_000
"""Of the sound of what is confused, as base64."""

_EXPLAINED = {
    "seen": "their speech was in the training data",
    "unseen_seen_script": "none of their speech was, but their script was",
    "unseen": "none of their speech was",
}


def render(
    report: Mapping[str, Any],
    *,
    examples: Mapping[str, Sequence[Mapping[str, Any]]],
    data: OutputDir,
    run: OutputDir | None,
    stages: Mapping[str, Mapping[str, Any]],
    index: Bundle | None = None,
) -> str:
    """The page.

    Args:
        report: what `report.json` holds.
        examples: of each language, as `scann_index.scoring.choose_examples` gives them.
        data: the prepared pairs: corpus, codebook, rejects.
        run: the training run, for its curves and options; None if it isn't known.
        stages: `stats.json` of each stage by its name, in their order.
        index: what was searched, for its sweeps and for what it confuses; None if it isn't known.
    """
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    headline, lead = _headline(report)
    page = Markup(_asset("page.html")).format(
        version=VERSION,
        title=f"Babelear: {headline}",
        script_hash=f"sha256-{digest}",
        css=Markup(_asset("report.css")),
        script=Markup(script),
        headline=headline,
        lead=lead,
        means=_join(_mean_card(report, group) for group in GROUPS),
        bars=charts.recall_bars(report["languages"]),
        unequal=inequality.section(report, inequality.training_hours(data.stats)),
        groups=group_bars.section(report),
        table=score_table(report),
        gallery=playable.gallery(report["languages"], examples),
        confused=_confused(report, index),
        index=index_loss.section(report)
        + (_NO_INDEX if index is None else sweep_chart.section(index.info)),
        training=provenance.training(run, data),
        data=provenance.corpus(data) + provenance.rejects(data),
        cost=cost.section(stages),
        made=provenance.settings(report, data, run),
        definitions=_definitions(report),
    )
    return str(page)


_NO_INDEX = Markup('<p class="mute">The index was not at hand when this page was drawn.</p>')


def _confused(report: Mapping[str, Any], index: Bundle | None) -> Markup:
    """What is taken for what, with its sound."""
    if index is None:
        return _NO_INDEX
    languages, split = report["languages"], report["split"]
    pairs = confusions.find(index, list(languages), split)
    uris = playable.sounds(confusion_cards.sides(pairs), CONFUSION_BYTES)
    between = language_confusion.find(index, list(languages), split)
    return confusion_cards.cards(pairs, languages, uris) + language_confusion.section(
        between, languages
    )


def _asset(name: str) -> str:
    return (resources.files("scann_index") / "report_assets" / name).read_text("utf-8")


def _join(parts: Iterator[Markup] | Sequence[Markup]) -> Markup:
    return Markup("").join(parts)


def _headline(report: Mapping[str, Any]) -> tuple[str, Markup]:
    scored = [s for lang in report["languages"].values() if (s := lang["speech_to_text"])]
    if not scored:
        return "No language has speech and text to compare", Markup("")
    sizes = sorted({s["pool"] for s in scored})
    pool = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    chance = float(np.mean([s["chance"] for s in scored]))
    parts = []
    for group, phrase in (
        ("seen", "it was trained on the speech of"),
        ("unseen", "whose speech it never heard"),
    ):
        if mean := report["means"][group]["speech_to_text"]:
            count = mean["language_count"]
            parts.append(
                Markup("<b>{}%</b> of the time in the {} {} {}").format(
                    percent(mean["recall_at_1"]),
                    count,
                    "language" if count == 1 else "languages",
                    phrase,
                )
            )
    lead = Markup(
        "Somebody speaks a sentence, and the model must find it among {} written ones. The right "
        "one comes first {}. Guessing would be right {}% of the time."
    ).format(pool, Markup(", and ").join(parts), percent(chance, 2))
    return f"How well speech finds its text in {len(scored)} languages", lead


_CARD = Markup(
    '<section class="mean {kind}"><h3>{title}</h3><p class="big">{one}<small>%</small></p>'
    '<p class="range">recall@1, 95% interval {low} to {high}</p>'
    '<svg width="100%" height="8" aria-hidden="true"><rect class="track" width="100%" height="8" '
    'rx="4"/><rect class="narrow" width="{one}%" height="8" rx="4"/></svg>'
    "<p>top 5: <b>{five}%</b>, top 10: <b>{ten}%</b>. {count}: {why}.</p>"
    '<p class="codes">{codes}</p></section>'
)


def _mean_card(report: Mapping[str, Any], group: str) -> Markup:
    mean = report["means"][group]
    scores = mean["speech_to_text"]
    if not scores:
        return Markup("")
    low, high = scores["recall_at_1_interval"]
    count = scores["language_count"]
    return _CARD.format(
        kind="seen" if group == "seen" else "unseen",
        title=GROUPS[group].capitalize(),
        one=percent(scores["recall_at_1"]),
        low=percent(low),
        high=percent(high),
        five=percent(scores["recall_at_5"]),
        ten=percent(scores["recall_at_10"]),
        count=f"Mean of {count} languages" if count != 1 else "1 language",
        why=_EXPLAINED[group],
        codes=_join(
            Markup('<span title="{}">{}</span> ').format(LANGUAGES[code].name, code)
            for code in mean["languages"]
        ),
    )


_TERMS = (
    ("recall@k (R@k)", "the share of queries that have a right answer among the first k found."),
    ("MRR", "mean reciprocal rank: the mean of 1 / rank of the best right answer."),
    (
        "WER, CER",
        "word and character error rate of the text found first against what was said, as written "
        "(no normalization). Languages written without spaces have no word error rate; only their "
        "character error rate means something.",
    ),
    ("seen, unseen", "whether speech of the language was in the training split."),
    ("chance", "recall@1 of drawing an answer blindly."),
)


_OLDER_INTERVALS = {
    "recall": "bootstrap over a language's queries, 2,000 resamples",
    "mean": "each language resampled by itself; the set of languages is taken as given",
}


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _definitions(report: Mapping[str, Any]) -> Markup:
    terms = [("the pool", f"{POOL} ({report['split']} split)."), *_TERMS]
    intervals = report.get("intervals", _OLDER_INTERVALS)
    terms.append(
        ("95% interval", "; ".join(f"{_plain(n)}: {how}" for n, how in intervals.items()) + ".")
    )
    scored = [s for e in report["languages"].values() if (s := e["speech_to_text"])]
    if any("xsim_error" in scores for scores in scored):
        terms.append(
            (
                "xsim",
                "the share of queries whose right answer does not come first by ratio margin, "
                "which divides a cosine by the mean cosine of either side's nearest others.",
            )
        )
    translated = [s for e in report["languages"].values() if (s := e["speech_to_english"])]
    if translated:
        signatures = f"{translated[0]['bleu_signature']} and {translated[0]['chrf_signature']}"
        terms.append(
            (
                "BLEU, chrF",
                "of the English text found first against the English text of the sentence that "
                f"was said: speech translation by retrieval. sacrebleu signatures: {signatures}.",
            )
        )
    return Markup("<dl>{}</dl>").format(
        _join(Markup("<dt>{}</dt><dd>{}</dd>").format(*term) for term in terms)
    )


if __name__ == "__main__":
    import sys

    from scann_index.redraw import main

    sys.exit(main())
