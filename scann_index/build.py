"""python -m scann_index.build: embeds prepared pairs and indexes them with ScaNN."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines import options as command_line
from pipelines import storage
from pipelines.audio_reference import check_speeds
from pipelines.codebook import Codebook
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.pairs import KIND as PAIRS
from pipelines.pairs import shard_paths
from pipelines.utterance import SPLITS
from pipelines.verb import verb
from scann_index.bundle import KIND, Bundle
from scann_index.engine_options import EngineOptions
from scann_index.making import Making
from scann_index.row import MODALITIES
from scann_index.summary import plan_lines

DESCRIPTION = """\
Embeds the speech and the texts of prepared data with a trained model and builds an index of them:
one ScaNN shard for each modality and language, searched exactly where it is small, by hashes where
it is bigger, by hashes behind a tree where it is big; their settings are swept until they reach
--target-recall. The index may be moved and copied. Runs in this process; pass Beam's own flags
(--runner=DataflowRunner …) to run elsewhere. Run it again after an interruption: finished shards
are kept.

examples:
  python -m scann_index.build --model demo/run --data demo/data --output demo/index
  python -m scann_index.build --model demo/run --data demo/data --output all --splits train,dev,test
  python -m scann_index.build --model demo/run --data more --output demo/index --append
"""


@dataclass(frozen=True, kw_only=True)
class BuildOptions(EngineOptions):
    """The options of `scann_index.build`."""

    model: str = option(help="run of model.train, or the folder of a preset")
    data: str = option(help="folder written by pipelines.prepare")
    output: str = option(help="folder to write to, local or gs://")
    splits: tuple[str, ...] = option(("test",), help="which of train, dev, test to index")
    modalities: tuple[str, ...] = option(MODALITIES, help="what to index: speech, text")
    speeds: tuple[float, ...] = option(
        (),
        help="hear each recording at these speeds too, 0.9,1.1, and later the queries: its vector "
        "is the mean. Finds more of languages never heard; reads the sound again, which takes the "
        "speech encoder's time once for each speed and once for its own",
    )
    cache: str = option(
        "",
        help="keep the audio tokens that --speeds take in this folder, local or gs://, for other "
        "models of the same codebook",
    )
    limit: int | None = option(None, help="read only so many pairs")
    append: bool = option(False, help="add the rows to the index that --output holds")
    overwrite: bool = option(False, help="replace an index made with other options")
    dry_run: bool = option(False, help="print what would be read and written, then stop")

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, given, known in (
            ("--splits", self.splits, SPLITS),
            ("--modalities", self.modalities, MODALITIES),
        ):
            if not given or set(given) - set(known) or len(set(given)) < len(given):
                raise ValueError(f"{flag} takes one or more of {','.join(known)}, each once")
        check_speeds(self.speeds)
        if self.cache and not self.speeds:
            raise ValueError("--cache keeps what --speeds take: it means nothing without them")
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")

    def content(self) -> dict[str, Any]:
        """What decides the content, beside the model and the data."""
        apart = ("model", "data", "output", "cache", "append", "overwrite", "dry_run")
        values = {k: v for k, v in command_line.as_dict(self).items() if k not in apart}
        # It came later: an index without it stays what it is.
        return values if self.speeds else {k: v for k, v in values.items() if k != "speeds"}


@verb("build")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, beam_flags = command_line.parse(
        BuildOptions, argv, prog="python -m scann_index.build", description=DESCRIPTION, beam=True
    )
    if options.dry_run:
        print(plan(options, beam_flags))
    elif options.append:
        from scann_index.append import append

        append(options, beam_flags)
    else:
        build(options, beam_flags)


def build(options: BuildOptions, beam_flags: Sequence[str] = ()) -> OutputDir:
    """Makes or finishes an index.

    Raises:
        OutputError: the data is not complete, or the output holds something else.
        ValueError: there is no model, it doesn't fit the data, or the data has no such rows.
    """
    data = OutputDir.open(options.data, kind=PAIRS)
    preset, digest = find_model(options.model)
    check_data(options, preset, data)
    out = OutputDir(options.output, kind=KIND)
    content = {**options.content(), "model": digest, "data": data.digest}
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    making = Making(options, out, preset, digest, beam_flags)
    cards = making.make()
    making.publish(cards, {"digest": digest, **_whereabouts(preset, out)}, data)
    return out


def find_model(path: str) -> tuple[str, str]:
    """The preset that `--model` means, and its digest.

    Args:
        path: a run of model.train, which holds its preset, or a preset's own folder.

    Raises:
        ValueError: there is none.
    """
    from model.dual_encoder import preset_digest
    from model.export import find_preset

    preset = find_preset(path)
    return preset, preset_digest(preset)


def check_data(options: BuildOptions, preset: str, data: OutputDir) -> None:
    """That the data has the splits asked for, and audio tokens of the model's own codebook."""
    missing = [split for split in options.splits if not shard_paths(data, split)]
    if missing:
        there = [split for split in SPLITS if shard_paths(data, split)]
        raise ValueError(
            f"{data.path} has no split {' or '.join(missing)}; give --splits {','.join(there)}"
        )
    if "speech" not in options.modalities:
        return
    folders = [storage.join(preset, "codebook"), data.file("codebook")]
    if not all(storage.exists(storage.join(folder, "card.json")) for folder in folders):
        return
    model_codebook, data_codebook = (Codebook.load(folder) for folder in folders)
    if model_codebook.sha256 != data_codebook.sha256:
        raise ValueError(
            f"the audio tokens of {data.path} are of another codebook than the model's; "
            f"prepare the data with --codebook {folders[0]}, or index --modalities text"
        )


def _whereabouts(preset: str, out: OutputDir) -> dict[str, str]:
    """Where a search may look for the model: `path`, and `relative` to the index."""
    if storage.is_remote(preset) or storage.is_remote(out.path):
        return {"path": preset}
    path = os.path.abspath(preset)
    return {"path": path, "relative": os.path.relpath(path, out.path)}


def plan(options: BuildOptions, beam_flags: Sequence[str] = ()) -> str:
    """What `--dry-run` prints: the rows by modality and language, and what would be written."""
    preset, digest = find_model(options.model)
    check_data(options, preset, OutputDir.open(options.data, kind=PAIRS))
    base = Bundle.open(options.output) if options.append else None
    making = Making(options, OutputDir(options.output, kind=KIND), preset, digest, beam_flags, base)
    with tempfile.TemporaryDirectory() as folder:
        counts = making.count(storage.join(folder, "counts.json"))
    return "\n".join(plan_lines(options, counts, preset, digest))


if __name__ == "__main__":
    sys.exit(main())
