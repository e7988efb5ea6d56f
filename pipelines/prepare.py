"""python -m pipelines.prepare: a corpus in, audio tokens and training pairs out."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines import codebook as kmeans
from pipelines import options as command_line
from pipelines import storage
from pipelines.codebook import Codebook
from pipelines.corpora import Corpus, open_corpus
from pipelines.output_dir import OutputDir, OutputError, State
from pipelines.pairs import KIND
from pipelines.plan import count, describe
from pipelines.prepare_options import LATER, PrepareOptions
from pipelines.rejected_rows import RejectedRows, recorded_options
from pipelines.stats import check_rejects, merge, summary
from pipelines.verb import verb

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


@verb("prepare")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, beam_flags = command_line.parse(
        PrepareOptions,
        argv,
        prog="python -m pipelines.prepare",
        description=DESCRIPTION,
        beam=True,
        defaults=_recorded,
    )
    if options.dry_run:
        print(plan(options))
    else:
        prepare(options, beam_flags)


def _recorded(given: dict[str, Any]) -> dict[str, Any]:
    """The options recorded in the folder of which only the rejects are wanted."""
    if not given.get("only_rejects"):
        return {}
    try:
        return recorded_options(given["only_rejects"], PrepareOptions, LATER)
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
        words=options.words,
        min_score=options.min_score,
        also=options.also,
        train_languages=options.train_languages,
        speeds=options.speeds,
        synthetic=options.synthetic,
        synthetic_languages=options.synthetic_languages,
        synthetic_only=options.synthetic_only,
        held_out=options.held_out,
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
