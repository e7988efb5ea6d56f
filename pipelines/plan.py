"""What `pipelines.prepare --dry-run` prints: what would be read and written, and what it costs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines import audio_reference
from pipelines.corpora import Corpus
from pipelines.cut_shards import MOST_ROWS, MOST_SECONDS
from pipelines.rejects import Reject
from pipelines.shard import unit_of
from pipelines.utterance import Utterance

if TYPE_CHECKING:
    from pipelines.prepare_options import PrepareOptions

TOKENS_PER_SECOND = 25
ASSUMED_SECONDS = 5.0
"""Of a recording, if neither the row nor the corpus' `typical_seconds` says how long it is: about
the mean of Common Voice."""
SECONDS_PER_CPU_SECOND = {"mfcc": 280.0, "whisper_base": 36.0}
"""Speech read, encoded and tokenized a CPU-second: docs/corpora.md has the measurements. By what
the encoder's name begins with: of `whisper_base@4`, other layers cost more or less; of other
encoders nothing is known."""
VCPU_SHARE = 15 / 36
"""What a Dataflow vCPU, half a core, does of that: assumed, as in docs/cloud.md."""
VCPU_OVERHEAD = 1.3
"""Decoding, shuffling and idle workers on Dataflow: assumed, as in docs/cloud.md."""
DOLLARS_PER_VCPU_HOUR = 0.075
"""Dataflow batch, a vCPU with 4 GB in `n2-standard-8`, list price in US dollars: assumed in
November 2026, as in docs/cloud.md."""


@dataclass
class Plan:
    """What a corpus holds, counted from its tables alone.

    Args:
        counts: rows by kind (`speech`, `bitext`, `rejected`), split or reason, and language.
        seconds: of speech, where the corpus tells.
        untold: recordings of which it doesn't tell how long they are.
        typical_seconds: what is assumed of each of those.
        units: recordings and their seconds, told or assumed and `MOST_SECONDS` of each at most, of
            what is read together: an archive, or the rows with a common hash (`unit_of`).
    """

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: float = 0.0
    untold: int = 0
    typical_seconds: float = ASSUMED_SECONDS
    units: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Of the corpus, the bad ones among them."""
        return sum(self.counts.values())

    @property
    def estimated_seconds(self) -> float:
        """Of speech, told and assumed."""
        return self.seconds + self.typical_seconds * self.untold

    @property
    def archives(self) -> int:
        """How many of the units are archives."""
        return sum(bool(archive) for archive, _ in self.units)

    @property
    def shards(self) -> int:
        """How many about there will be, as `pipelines.cut_shards` cuts them."""
        return sum(
            max(1, math.ceil(recordings / MOST_ROWS), math.ceil(seconds / MOST_SECONDS))
            for recordings, seconds in self.units.values()
        )


def count(corpus: Corpus, shards: int, limit: int | None = None) -> Plan:
    """Reads the tables of a corpus and opens no sound; one row is in memory at a time.

    Args:
        corpus: what to read.
        shards: as in `PrepareOptions`.
        limit: as in `PrepareOptions`.
    """
    found = Plan(typical_seconds=getattr(corpus, "typical_seconds", None) or ASSUMED_SECONDS)
    for row in itertools.islice(corpus.rows(), limit):
        unit = unit_of(row, shards)
        recordings, seconds = found.units.get(unit, (0, 0.0))
        if isinstance(row, Utterance):
            found.counts["speech", row.split, row.language] += 1
            told = _seconds(row)
            found.seconds += told or 0.0
            found.untold += told is None
            recordings += 1
            # A long one ends its shard, however long it is.
            seconds += min(MOST_SECONDS, found.typical_seconds if told is None else told)
        elif isinstance(row, Reject):
            found.counts["rejected", row.reason, ""] += 1
        else:
            found.counts[row.task, row.split, row.source_language] += 1
        found.units[unit] = recordings, seconds
    return found


def _seconds(row: Utterance) -> float | None:
    """How long a recording is, as the corpus tells."""
    if row.seconds is not None:
        return row.seconds
    span = audio_reference.parse(row.audio).span
    return span[1] - span[0] if span else None


def describe(plan: Plan, options: PrepareOptions) -> str:
    """A plan for a person."""
    lines = [f"{options.corpus}: {plan.rows:,} rows, into {_shards(plan)}"]
    for kind, group in sorted({(kind, group) for kind, group, _ in plan.counts}):
        languages = {lang: n for (k, g, lang), n in plan.counts.items() if (k, g) == (kind, group)}
        each = " ".join(f"{language}:{n:,}" for language, n in languages.items() if language)
        lines.append(f"  {kind:<10} {group:<6} {sum(languages.values()):>9,}  {each}".rstrip())
    codebook = options.codebook or (
        f"fitted, k = {options.codebook_size}, on {options.codebook_frames:,} frames "
        f"of {options.codebook_utterances:,} recordings"
    )
    lines += [f"  speech encoder {options.speech_encoder}, codebook {codebook}"]
    if plan.estimated_seconds:
        lines += _costs(plan, options.speech_encoder)
    lines += [f"  would write {options.output}"]
    return "\n".join(lines)


def _shards(plan: Plan) -> str:
    shards = f"about {plan.shards:,} shard{'s' if plan.shards != 1 else ''}"
    if not plan.archives:
        return shards
    return f"{shards} from {plan.archives:,} archive{'s' if plan.archives != 1 else ''}"


def _costs(plan: Plan, encoder: str) -> list[str]:
    seconds = plan.estimated_seconds
    assumed = f" ({plan.untold:,} of untold length: {plan.typical_seconds:g} s each assumed)"
    tokens = round(seconds * TOKENS_PER_SECOND)
    lines = [
        f"  about {_duration(seconds)} of speech{assumed if plan.untold else ''}, "
        f"{tokens:,} audio tokens"
    ]
    name = encoder.rpartition(":")[2]
    rates = (rate for known, rate in SECONDS_PER_CPU_SECOND.items() if name.startswith(known))
    rate = next(rates, 0.0)
    if rate and seconds >= 60 * rate:
        here = seconds / rate
        there = here / VCPU_SHARE * VCPU_OVERHEAD
        lines += [
            f"  about {_duration(here)} of CPU time at {rate:g} s of speech a CPU-second, if this "
            "machine is like the one measured",
            f"  on Dataflow about {_duration(there)} of a vCPU, "
            f"{there / 3600 * DOLLARS_PER_VCPU_HOUR:,.2f} dollars at {DOLLARS_PER_VCPU_HOUR} an "
            "hour: assumed, see docs/cloud.md",
        ]
    return lines


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"
