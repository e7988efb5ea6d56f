"""What the verbs that write an index print of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scann_index.recipe import ENGINES, EXACT
from scann_index.row import MODALITIES

if TYPE_CHECKING:
    from scann_index.build import BuildOptions
    from scann_index.bundle import ShardCard


def summary(cards: Sequence[ShardCard], path: str) -> str:
    """A few lines for the terminal."""
    engines = Counter(card.engine for card in cards)
    swept = [card.recall_at_10 or 0.0 for card in cards if card.engine != EXACT]
    rows = sum(card.rows for card in cards)
    each = ", ".join(f"{engines[name]} {name}" for name in ENGINES if engines[name])
    recall = f"\n  recall@10 against exact search: {min(swept):.3f} or more" if swept else ""
    return f"{path}: {rows:,} rows in {len(cards)} index shards: {each}{recall}"


def sweep_table(
    cards: Sequence[ShardCard], sweeps: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[str]:
    """The settings tried for each shard that is not exact, line by line."""
    for card in cards:
        if card.name not in sweeps:
            continue
        leaves = f", {card.leaves:,} leaves" if card.leaves else ""
        yield f"  {card.name}: {card.engine}, {card.rows:,} rows{leaves}"
        yield "      leaves searched   reordered   recall@10        work   queries/s"
        for trial in sweeps[card.name]:
            mark = "*" if trial["chosen"] else " "
            yield (
                f"    {mark} {trial['leaves_searched']:>15,}   {trial['reordered']:>9,}"
                f"   {trial['recall_at_10']:>9.4f}   {trial['work']:>9,}"
                f"   {trial['queries_per_second']:>9,.0f}"
            )
    if sweeps:
        yield "  * used. Work: a query's cost in comparisons with whole vectors; the least decides."
        yield "  Queries/s: answered here and now, all at once."


def plan_lines(
    options: BuildOptions, counts: Mapping[str, int], preset: str, digest: str
) -> Iterator[str]:
    """The rows by modality and language, and what would be written, line by line."""
    from scann_index.index_shards import names_of, parts_of

    names = names_of(parts_of(counts, options.shard_rows))
    new = "new " if options.append else ""
    yield (
        f"{options.data}: {sum(counts.values()):,} {new}rows of {','.join(options.splits)}, "
        f"into {len(names)} index shards"
    )
    yield from count_lines(counts)
    yield f"  model {preset} ({digest[:12]}), exact below {options.exact_below:,} rows"
    if options.speeds:
        heard = ", ".join(f"{speed:g}" for speed in sorted({1.0, *options.speeds}))
        yield f"  recordings are read again and heard at the speeds {heard}"
    yield f"  would write {options.output}"


def count_lines(counts: Mapping[str, int]) -> Iterator[str]:
    """Rows by `modality/language`, a line for each modality."""
    for modality in MODALITIES:
        own = {g.split("/")[1]: n for g, n in counts.items() if g.startswith(f"{modality}/")}
        if own:
            each = " ".join(f"{language}:{n:,}" for language, n in own.items())
            yield f"  {modality:<8} {sum(own.values()):>9,}  {each}"
