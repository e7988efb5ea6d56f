"""python -m pipelines.prepare: a corpus in, audio tokens and training pairs out."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines import accelerator, storage
from pipelines import codebook as kmeans
from pipelines import options as command_line
from pipelines.codebook import Codebook
from pipelines.corpora import Corpus, open_corpus
from pipelines.options import option
from pipelines.output_dir import OutputDir, OutputError, State
from pipelines.pairs import KIND
from pipelines.plan import count, describe
from pipelines.precision import PRECISIONS, resolve_precision
from pipelines.rejected_rows import RejectedRows, recorded_options
from pipelines.rejects import TooManyRejects
from pipelines.speech_encoder import refuse_unknown
from pipelines.stats import check_rejects, merge, summary
from pipelines.utterance import SPLITS

if TYPE_CHECKING:
    from pipelines.encode_speech import Encoder

DESCRIPTION = """\
Turns a corpus of speech into audio tokens and writes (audio tokens, text) pairs for training,
evaluation and search. Runs in this process; pass Beam's own flags (--runner=DataflowRunner
--project=… --region=… --temp_location=gs://…) to run elsewhere. Run it again after an
interruption: finished shards are kept.

examples:
  python -m pipelines.prepare --corpus demo --output demo/data
  python -m pipelines.prepare --corpus my/manifest.tsv --output data --dry-run
  python -m pipelines.prepare --corpus fleurs --corpus-path fleurs --languages fr,de --output data
  python -m pipelines.prepare --corpus covost --corpus-path cv --languages fr,en-de --output data
  python -m pipelines.prepare --only-rejects data --output data-mended

A manifest has the columns audio, language, transcript and, if you like, id, sentence_id, split
(train, dev, test), speaker, gender, seconds. Rows that can't be used go to rejects-*.jsonl with the
reason. Mend them, and --only-rejects prepares them alone, with the options and the codebook of the
first time, into a folder to be used beside the first. docs/corpora.md tells where to get the
published corpora, and how they have to lie.
"""


@dataclass(frozen=True)
class PrepareOptions:
    """The options of `pipelines.prepare`."""

    output: str = option(help="folder to write to, local or gs://")
    corpus: str = option(
        "demo",
        help="demo; a .jsonl, .csv or .tsv manifest; or fleurs, covost, wikimatrix, opus, lhotse, "
        "nemo, tuxpaint, as they are published: see docs/corpora.md",
    )
    corpus_path: str = option("", help="where a published corpus lies: a folder or a file")
    languages: tuple[str, ...] = option(
        (),
        help="which languages: fleurs fr,de_de,south_asian_sa; covost fr,en-de; wikimatrix and "
        "opus en-fr; tuxpaint fr,el; lhotse and nemo: the language of rows that name none. Else "
        "all there are",
    )
    splits: tuple[str, ...] = option(
        (), help="which of train, dev, test; lhotse and nemo: the split of all rows. Else all"
    )
    min_score: float = option(1.04, help="wikimatrix: leave out pairs with a lower score")
    also: tuple[str, ...] = option(
        (), help="further corpora for the same output, all they hold: wikimatrix=PATH,opus=PATH"
    )
    train_languages: tuple[str, ...] = option(
        (),
        help="train on the speech of these only, the others serve dev and test (tuxpaint: "
        "es,fr,ru,ro,ca). Else all; this and the next three change --corpus, not --also",
    )
    speeds: tuple[float, ...] = option(
        (), help="copies of training recordings, slower and faster: 0.9,1.1"
    )
    synthetic: int = option(
        0, help="training sentences spoken by eSpeak NG too, in so many voices each"
    )
    synthetic_languages: tuple[str, ...] = option(
        (), help="languages of that speech, heard in recordings or not; else those trained on"
    )
    synthetic_only: bool = option(
        False,
        help="leave out what the corpus holds itself: that speech alone, to be trained on beside "
        "another folder of the same --codebook, model.train --data RECORDED,SYNTHETIC",
    )
    audio_root: str = option("", help="where a manifest's audio paths start; else its folder")
    speech_encoder: str = option(
        "whisper_base@4",
        help="whisper_base@N taps layer N (1–6); kaggle:PRESET@N or FOLDER@N a KerasHub preset of "
        "Whisper, Gemma 3n or Gemma 4 at any layer, see docs/speech_encoders.md; mfcc needs no "
        "weights, its tokens are far worse",
    )
    speech_precision: str = option(
        "auto",
        help="what the speech encoder computes in; auto: bfloat16 where the processor has "
        "instructions for it (AVX512-BF16, AMX), twice as fast there, else float32",
        choices=PRECISIONS,
    )
    accelerator: str = option(
        "",
        help="GPU for the speech encoder's step on Dataflow, and for no other: nvidia-l4, or two: "
        "nvidia-l4:2; the workers' image must hold CUDA",
    )
    model_copies: int = option(
        0,
        help="copies of the speech encoder on a worker machine, which its processes share: 1 for a "
        "large one. 0: one in each process",
    )
    codebook: str = option("", help="reuse the codebook in this folder instead of fitting one")
    codebook_size: int = option(1024, help="how many audio tokens (k of k-means), 64 to 8192")
    codebook_utterances: int | None = option(
        None,
        help="training recordings sampled to fit the codebook; default: 2000, or one for each 100 "
        "frames",
    )
    codebook_frames: int | None = option(
        None,
        help="frames kept of that sample, 25 a second. The machine that fits needs frames × "
        "dimensions × 4 bytes: 123 MB for 60000 of whisper_base's 512. Default: 60000, or 200 a "
        "token above 1024 tokens",
    )
    shards: int = option(32, help="units of work, each read, tokenized and written in one go")
    voices: int = option(1, help="demo corpus: recordings of each training sentence and language")
    max_seconds: float = option(
        600.0,
        help="longer recordings are rejected; 36000 allows ten hours, which need the memory of "
        "ten minutes",
    )
    max_rejects: float = option(0.05, help="fail if a larger share of the rows is rejected")
    seed: int = option(0, help="seeds the sample and k-means")
    only_rejects: str = option(
        "",
        help="prepare what this folder rejected: the rows of its corpus that it has no pair of. "
        "Its own options are the defaults",
    )
    limit: int | None = option(None, help="read only so many rows of the corpus")
    overwrite: bool = option(False, help="throw away what is there and begin anew")
    dry_run: bool = option(False, help="print what would be read and written, then stop")

    def __post_init__(self) -> None:
        refuse_unknown(self.speech_encoder)
        # Resolved here, so that a run that is resumed elsewhere goes on as it began.
        precision = "float32" if self.speech_encoder == "mfcc" else self.speech_precision
        object.__setattr__(self, "speech_precision", resolve_precision(precision))
        frames = self.codebook_frames
        if frames is None:
            frames = 60_000 if self.codebook_size <= 1024 else 200 * self.codebook_size
        utterances = self.codebook_utterances
        if utterances is None:
            utterances = max(2000, -(-frames // 100))
        object.__setattr__(self, "codebook_frames", frames)
        object.__setattr__(self, "codebook_utterances", utterances)
        object.__setattr__(self, "accelerator", accelerator.resource_hint(self.accelerator))
        if unknown := set(self.splits) - set(SPLITS):
            raise ValueError(f"--splits: {', '.join(sorted(unknown))} is none of train, dev, test")
        for name in ("codebook_size", "codebook_utterances", "codebook_frames", "shards"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        if self.model_copies < 0:
            raise ValueError("--model-copies can't be negative")
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")
        if not 0 <= self.max_rejects <= 1:
            raise ValueError("--max-rejects is a share between 0 and 1")
        if self.synthetic_languages and not self.synthetic:
            raise ValueError("--synthetic-languages needs --synthetic: in how many voices")
        if self.synthetic_only and not (self.synthetic_languages and self.codebook):
            raise ValueError(
                "--synthetic-only needs --synthetic-languages, and another's --codebook"
            )
        if self.only_rejects and self.codebook != storage.join(self.only_rejects, "codebook"):
            raise ValueError("--only-rejects takes the codebook of its folder: no --codebook")
        if self.codebook_size > 32_767:
            raise ValueError("--codebook-size can't pass 32767: audio tokens are stored as int16")

    def content(self) -> dict[str, Any]:
        """What decides the output's bytes, not where or whether it is made."""
        apart = ("output", "overwrite", "dry_run", "max_rejects", "accelerator", "model_copies")
        values = {k: v for k, v in command_line.as_dict(self).items() if k not in apart}
        return {k: v for k, v in values.items() if k not in _LATER or v != _LATER[k]}


# Directories made before there were these options stay what they are.
_LATER: dict[str, Any] = {
    **{"corpus_path": "", "languages": [], "splits": [], "also": [], "min_score": 1.04},
    **{"train_languages": [], "speeds": [], "synthetic": 0, "synthetic_languages": []},
    "synthetic_only": False,
    "speech_precision": "float32",
    "only_rejects": "",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options, beam_flags = command_line.parse(
        PrepareOptions,
        argv,
        prog="python -m pipelines.prepare",
        description=DESCRIPTION,
        beam=True,
        defaults=_recorded,
    )
    try:
        if options.dry_run:
            print(plan(options))
        else:
            prepare(options, beam_flags)
    except (OutputError, TooManyRejects, ValueError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    return 0


def _recorded(given: dict[str, Any]) -> dict[str, Any]:
    """The options recorded in the folder of which only the rejects are wanted."""
    if not given.get("only_rejects"):
        return {}
    try:
        return recorded_options(given["only_rejects"], PrepareOptions, _LATER)
    except OutputError as error:
        raise ValueError(f"--only-rejects: {error}") from None


def prepare(options: PrepareOptions, beam_flags: Sequence[str] = ()) -> OutputDir:
    """Makes or finishes a directory of pairs.

    Raises:
        OutputError: `options.output` holds something else.
        TooManyRejects: the share of rejects passed `options.max_rejects`; nothing is published.
    """
    corpus = _corpus(options)
    given = _given_codebook(options)
    out = OutputDir(options.output, kind=KIND)
    inputs = {
        "corpus_sha256": corpus.card().get("sha256"),
        "codebook_sha256": given.sha256 if given else None,
    }
    if options.only_rejects:
        inputs["without"] = corpus.card()["without"]
    if out.begin({**options.content(), **inputs}, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    try:
        _finish(options, corpus, given, out, beam_flags)
    finally:
        out.release()
    return out


def _finish(
    options: PrepareOptions,
    corpus: Corpus,
    given: Codebook | None,
    out: OutputDir,
    beam_flags: Sequence[str],
) -> None:
    """Makes what a directory lacks, and publishes it."""
    started = time.time()
    codebook_folder = _codebook(options, corpus, given, out, beam_flags)
    fitted = time.time()
    _tokenize(options, corpus, out, codebook_folder, beam_flags)
    finished = time.time()

    shards = [storage.read_json(p) for p in storage.list_files(out.file("finished"), "*.json")]
    stats = merge(shards)
    stats["wall_seconds"] = {"codebook": fitted - started, "tokenize": finished - fitted}
    check_rejects(stats, options.max_rejects, out.path, of=getattr(corpus, "rows_in_all", 0))
    files = {name: sha256 for shard in shards for name, sha256 in shard["files"].items()}
    info = {
        "schema": "pipelines.pairs.Pair as tf.train.Example in TFRecord",
        "shards": options.shards,
        "corpus": corpus.card(),
        "codebook": Codebook.load(codebook_folder).card,
    }
    for name in ("codebook/codebook.npz", "codebook/card.json"):
        files[name] = storage.file_sha256(out.file(name))
    out.complete(files=dict(sorted(files.items())), stats=stats, info=info)
    print(summary(stats, out.path))


def plan(options: PrepareOptions) -> str:
    """What `--dry-run` prints."""
    corpus, _ = _corpus(options), _given_codebook(options)
    return describe(count(corpus, options.shards, options.limit), options)


def _corpus(options: PrepareOptions) -> Corpus:
    """The corpus, opened, with a fault of the whole file noticed before any worker starts."""
    corpus = open_corpus(
        options.corpus,
        path=options.corpus_path,
        languages=options.languages,
        splits=options.splits,
        audio_root=options.audio_root,
        voices=options.voices,
        min_score=options.min_score,
        also=options.also,
        train_languages=options.train_languages,
        speeds=options.speeds,
        synthetic=options.synthetic,
        synthetic_languages=options.synthetic_languages,
        synthetic_only=options.synthetic_only,
    )
    if options.only_rejects:
        corpus = RejectedRows(corpus, options.only_rejects, options.limit)
        if next(iter(corpus.rows()), None) is None:
            raise ValueError(f"{options.only_rejects} has every row of the corpus: nothing to do")
    if next(iter(corpus.rows()), None) is None:
        raise ValueError(f"the corpus {options.corpus} has no rows")
    return corpus


def _given_codebook(options: PrepareOptions) -> Codebook | None:
    """The codebook to reuse, if there is one; refused if it was fitted on another encoder."""
    if not options.codebook:
        return None
    given = Codebook.load(options.codebook)
    if given.card["speech_encoder"] != options.speech_encoder:
        raise ValueError(
            f"{options.codebook} was fitted on {given.card['speech_encoder']}; "
            f"give --speech-encoder {given.card['speech_encoder']}"
        )
    return given


def _codebook(
    options: PrepareOptions,
    corpus: Corpus,
    given: Codebook | None,
    out: OutputDir,
    beam_flags: Sequence[str],
) -> str:
    """The folder of the codebook inside the output: left by an earlier run, copied, or fitted."""
    folder = out.file("codebook")
    if storage.exists(storage.join(folder, "card.json")):
        return folder
    if given:
        given.save(folder)
        return folder

    from pipelines import beam_runner
    from pipelines.fit_codebook import FitCodebook
    from pipelines.right_fitting import with_model
    from pipelines.tokenize_speech import ReadCorpus

    transform = FitCodebook(
        folder=folder,
        encoder=_encoder(options),
        size=options.codebook_size,
        utterances=options.codebook_utterances or 0,
        frames=options.codebook_frames or 0,
        seed=options.seed,
        max_seconds=options.max_seconds,
    )
    with beam_runner.progress("fit the codebook", folder, "card.json", 1):
        beam_runner.run(
            lambda pipeline: pipeline | ReadCorpus(corpus, options.limit) | with_model(transform),
            beam_flags,
        )
    if advice := kmeans.advice(storage.read_json(storage.join(folder, "card.json"))):
        print(f"prepare: {advice}", file=sys.stderr)
    return folder


def _encoder(options: PrepareOptions) -> Encoder:
    from pipelines.encode_speech import Encoder

    return Encoder(
        options.speech_encoder,
        options.speech_precision,
        copies=options.model_copies,
        accelerator=options.accelerator,
    )


def _tokenize(
    options: PrepareOptions,
    corpus: Corpus,
    out: OutputDir,
    codebook_folder: str,
    beam_flags: Sequence[str],
) -> None:
    """Reads, tokenizes and writes every shard that no earlier run finished."""
    import apache_beam as beam

    from pipelines import beam_runner
    from pipelines import tokenize_speech as speech
    from pipelines.encode_speech import AssignTokens, EncodeSpeech
    from pipelines.group_rows import GroupIntoShards
    from pipelines.right_fitting import with_model

    if _all_rows_are_finished(options, corpus, out):
        return

    def unfinished(shard: Any, folder: str = out.path) -> bool:
        return not speech.is_finished(shard, folder)

    decode = beam.ParDo(speech.DecodeAudio(options.max_seconds, out.path))
    assign = AssignTokens(codebook_folder)
    encode = EncodeSpeech(_encoder(options), assign)
    write = beam.ParDo(speech.WriteShard(out.path, options.shards, corpus.name))

    def build(pipeline: Any) -> None:
        _ = (
            pipeline
            | speech.ReadCorpus(corpus, options.limit)
            | GroupIntoShards(options.shards)
            | "SkipFinished" >> beam.Filter(unfinished)
            | "DecodeAudio" >> with_model(decode)
            | "EncodeSpeech" >> with_model(encode)
            | "WriteShard" >> with_model(write)
        )

    # How many shards archives make is not known before they are read. Of others that are cut, the
    # first part counts: 00003.json, not 00003-00001.json.
    in_archives = getattr(corpus, "in_archives", False)
    pattern, total = ("*.json", None) if in_archives else ("?????.json", options.shards)
    with beam_runner.progress("tokenize speech", out.file("finished"), pattern, total):
        beam_runner.run(build, beam_flags)


def _all_rows_are_finished(options: PrepareOptions, corpus: Corpus, out: OutputDir) -> bool:
    """Whether the finished shards hold as many rows as there are."""
    finished = storage.list_files(out.file("finished"), "*.json")
    if not finished:
        return False
    rows = sum(1 for _ in itertools.islice(corpus.rows(), options.limit))
    return rows == sum(int(storage.read_json(path)["rows"]) for path in finished)


if __name__ == "__main__":
    sys.exit(main())
