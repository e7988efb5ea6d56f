"""What a dry run promises, counted and computed by hand."""

from __future__ import annotations

from pipelines.plan import Plan, count, describe
from pipelines.prepare import PrepareOptions
from pipelines.rejects import Reject
from tests.pipelines.rows import ListCorpus, bitext, utterance

ROWS = [
    *[utterance(f"a{n}", audio=f"tar:/a.tar!{n}.wav", seconds=4.0) for n in range(600)],
    *[utterance(f"b{n}", audio=f"tar:/b.tar.gz!{n}.wav", language="fr") for n in range(3)],
    utterance("part", audio="/talk.flac#t=10.000,12.500", split="dev"),
    utterance("c"),
    bitext("d"),
    Reject("e", "", "read", "missing-column", "no 'audio'"),
]


def test_rows_shards_and_seconds_are_counted() -> None:
    plan = count(ListCorpus(ROWS), shards=1000)

    assert plan.rows == len(ROWS)
    assert plan.counts["speech", "train", "en"] == 601
    assert (
        plan.counts["bitext", "train", "fr"] == plan.counts["rejected", "missing-column", ""] == 1
    )
    assert plan.units["/a.tar", 0] == (600, 2400.0)
    assert plan.units["/b.tar.gz", 0] == (3, 15.0)
    # 2,400 s are cut on the way; the talk, its neighbour, the text and the reject stand alone.
    assert (plan.archives, plan.shards) == (2, 3 + 1 + 4)
    assert (plan.seconds, plan.untold) == (600 * 4 + 2.5, 4)
    assert plan.estimated_seconds == 2402.5 + 4 * 5


def test_many_recordings_and_long_ones_make_more_shards_than_were_asked_for() -> None:
    many = [utterance(f"{n}", seconds=0.5) for n in range(5000)]
    plan = count(ListCorpus(many), shards=1)
    assert (plan.archives, plan.shards) == (0, 3)

    long = [utterance(f"{n} of ten hours", seconds=36_000.0) for n in range(3)]
    plan = count(ListCorpus(long), shards=1)
    assert (plan.seconds, plan.shards) == (108_000.0, 3)


def test_a_limit_counts_no_further_and_a_corpus_may_know_its_usual_length() -> None:
    corpus = ListCorpus([utterance("a"), utterance("b"), utterance("c")])
    corpus.typical_seconds = 1.5  # type: ignore[attr-defined]

    plan = count(corpus, shards=4, limit=2)
    assert (plan.rows, plan.estimated_seconds) == (2, 3.0)


def test_the_plan_tells_what_it_assumes_and_what_it_costs() -> None:
    options = PrepareOptions(output="out", corpus="my.tsv", codebook_size=64)
    plan = count(ListCorpus(ROWS), options.shards)
    plan.seconds, plan.untold = 36 * 3600 - 20, 4

    assert describe(plan, options).splitlines() == [
        f"my.tsv: 607 rows, into about {plan.shards} shards from 2 archives",
        "  bitext     train          1  fr:1",
        "  rejected   missing-column         1",
        "  speech     dev            1  en:1",
        "  speech     train        604  en:601 fr:3",
        "  speech encoder whisper_base@4, codebook fitted, k = 64, on 60,000 frames of 2,000 "
        "recordings",
        "  about 36.0 h of speech (4 of untold length: 5 s each assumed), 3,240,000 audio tokens",
        "  about 60 min of CPU time at 36 s of speech a CPU-second, if this machine is like the "
        "one measured",
        "  on Dataflow about 3.1 h of a vCPU, 0.23 dollars at 0.075 an hour: assumed, see "
        "docs/cloud.md",
        "  would write out",
    ]


def test_text_alone_costs_nothing_and_an_unknown_encoder_has_no_rate() -> None:
    options = PrepareOptions(output="out", corpus="opus", speech_encoder="kaggle:other@3")
    text = describe(count(ListCorpus([bitext("d")]), 4), options)
    assert text.splitlines()[0] == "opus: 1 rows, into about 1 shard"
    assert "of speech" not in text

    text = describe(Plan(seconds=60.0), options)
    assert "about 60 s of speech, 1,500 audio tokens" in text
    assert "CPU" not in text
