"""python -m model.export: a trained run in, what others can load out.

OUTPUT/preset loads with `DualEncoder.from_preset`; it is the model's preset unchanged, so an index
built with the run fits it. OUTPUT/saved_model is a TensorFlow SavedModel that needs none of this
code: strings or the bytes of sound files in, embeddings out. What loads it must have imported
`tensorflow_text` and `tensorflow_io`, which hold operations of the graph, and have called something
of the latter's: it registers its operations no sooner.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import options as command_line
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.verb import verb

if TYPE_CHECKING:
    from model.dual_encoder import DualEncoder
    from pipelines.codebook import Codebook
    from pipelines.speech_encoder import SpeechEncoder

KIND = "export"
LOADERS = ("tensorflow", "tensorflow-text", "tensorflow-io")
DESCRIPTION = """\
Writes a trained model for others to use: OUTPUT/preset for Python programs that have this package,
OUTPUT/saved_model for those that have TensorFlow only. The latter holds everything in its graph:
texts are normalized and tokenized, sound files (WAV, FLAC, OGG Vorbis, MP3; any rate, any channels)
are decoded, resampled and turned into audio tokens.

example:
  python -m model.export --model demo/run --output demo/export

use of the SavedModel, after pip install tensorflow tensorflow-text tensorflow-io in the versions
that OUTPUT/info.json names:
  import tensorflow as tf, tensorflow_io as tfio, tensorflow_text
  tfio.audio.encode_wav(tf.zeros([1, 1], tf.int16), 16000)  # tensorflow-io loads on first use
  model = tf.saved_model.load("demo/export/saved_model")
  texts = model.encode_text(["red apple", "pomme rouge"], ["en", ""])["embeddings"]  # "": unknown
  speech = model.encode_audio([open("apple.wav", "rb").read()], ["en"])["embeddings"]
  print(tf.matmul(speech, texts, transpose_b=True))  # cosines: float32 [1, 2]
"""


@dataclass(frozen=True)
class ExportOptions:
    """The options of `model.export`."""

    model: str = option(help="run of model.train, or the folder of a preset")
    output: str = option(help="folder to write to, local or gs://")
    overwrite: bool = option(False, help="replace an export of another model")
    dry_run: bool = option(False, help="print what would be written, then stop")

    def __post_init__(self) -> None:
        if storage.is_remote(self.model) or storage.is_remote(self.output):
            return
        model, output = os.path.realpath(self.model), os.path.realpath(self.output)
        if os.path.commonpath([model, output]) == output:
            raise ValueError("--output must not be the model's folder or hold it")


@verb("export")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        ExportOptions, argv, prog="python -m model.export", description=DESCRIPTION
    )
    if options.dry_run:
        print(plan(options))
    else:
        export(options)


def export(options: ExportOptions) -> OutputDir:
    """Writes both forms of a model.

    Raises:
        OutputError: the output holds something else.
        ValueError: there is no model, or it is damaged.
        ModuleNotFoundError: the weights of its speech encoder are not installed.
    """
    from model.dual_encoder import DualEncoder, preset_digest

    preset = find_preset(options.model)
    out = OutputDir(options.output, kind=KIND)
    content = {"model": preset_digest(preset)}
    encoder = DualEncoder.from_preset(preset)
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    print(f"exporting {preset} to {out.path} …", flush=True)
    started = time.time()
    files = _copy_preset(preset, out)
    with tempfile.TemporaryDirectory() as folder:
        signatures = write_saved_model(encoder, folder)
        files += _publish(folder, out)
    sizes = {name: len(storage.read_bytes(out.file(name))) for name in files}
    stats = {"parameters": int(encoder.count_params()), "bytes": sizes}
    stats["wall_seconds"] = time.time() - started
    versions = {name: version(name) for name in LOADERS}
    info = {"signatures": signatures, "dim": encoder.width, "versions": versions}
    out.complete(files=files, stats=stats, info=info)
    print(f"{out.path}: {', '.join(signatures)}; {sum(sizes.values()) / 1e6:.1f} MB")
    return out


def find_preset(path: str) -> str:
    """The folder of the preset that `--model` means: a run's or an export's, or its own."""
    inside = storage.join(path, "preset")
    return inside if storage.exists(inside) else path


def plan(options: ExportOptions) -> str:
    """What `--dry-run` prints."""
    from model.dual_encoder import DualEncoder

    preset = find_preset(options.model)
    encoder = DualEncoder.from_preset(preset)
    names = ["encode_text"]
    if encoder.codebook is not None:
        names.append(f"encode_audio by {encoder.codebook.card['speech_encoder']}")
    return "\n".join(
        [
            f"{preset}: {encoder.count_params():,} parameters, {encoder.width} dimensions",
            f"  would write {storage.join(options.output, 'preset')}",
            f"  would write {storage.join(options.output, 'saved_model')}: {', '.join(names)}",
        ]
    )


def write_saved_model(encoder: DualEncoder, folder: str) -> list[str]:
    """Writes a SavedModel; returns the names of its signatures.

    Each signature takes two string tensors `[n]` and returns `embeddings`, float32 `[n, dim]` of
    unit length: `encode_text` takes `texts` (UTF-8) and `languages` (codes; empty where unknown),
    `encode_audio` takes `audio` (whole files, see `model.audio_graph.decode`) and `languages`.

    Args:
        encoder: the model; without a codebook it gets no `encode_audio`.
        folder: an empty local folder.
    """
    import tensorflow as tf

    module = tf.Module()
    # Variables are found by attribute: what the functions use must hang on the module.
    module.encoder = encoder
    # A preset's tokenizer keeps its vocabulary in tables outside of any layer.
    module.tokenizer = getattr(encoder.vocabulary.tokenizer, "resources", None)

    def encode_text(texts: Any, languages: Any) -> dict[str, Any]:
        texts = _same_count(texts, languages)
        return _embeddings(encoder, encoder.vocabulary.text_ids(texts, languages))

    functions: dict[str, Callable[[Any, Any], dict[str, Any]]] = {"encode_text": encode_text}
    if encoder.codebook is not None:
        from pipelines.speech_encoder import load_speech_encoder

        codebook = encoder.codebook
        speech_encoder = load_speech_encoder(codebook.card["speech_encoder"])
        module.speech_encoder = speech_encoder.model

        def encode_audio(audio: Any, languages: Any) -> dict[str, Any]:
            audio = _same_count(audio, languages)
            tokens = _audio_tokens(speech_encoder, codebook, audio)
            return _embeddings(encoder, encoder.vocabulary.speech_ids(tokens, languages))

        functions["encode_audio"] = encode_audio
    strings = tf.TensorSpec([None], tf.string)
    signatures = {
        name: tf.function(function, input_signature=[strings, strings], autograph=False)
        for name, function in functions.items()
    }
    for name, signature in signatures.items():
        setattr(module, name, signature)
    tf.saved_model.save(module, folder, signatures=signatures)
    return list(signatures)


def assign(codebook: Codebook, features: Any) -> Any:
    """`Codebook.assign` as TensorFlow operations: float32 `[frames, dim]` to int32 `[frames]`."""
    import tensorflow as tf

    directions = (codebook.centroids / codebook.deviation).T
    penalties = 0.5 * (codebook.centroids**2).sum(1)
    centred = features - tf.reduce_mean(features, axis=0, keepdims=True)
    scores = tf.matmul(centred, tf.constant(directions)) - tf.constant(penalties)
    return tf.argmax(scores, axis=1, output_type=tf.int32)


def _audio_tokens(speech_encoder: SpeechEncoder, codebook: Codebook, audio: Any) -> Any:
    """Sound files, string `[n]`, to their audio tokens, ragged int32 `[n, (frames)]`."""
    import tensorflow as tf

    from model import audio_graph

    def tokens(item: tuple[Any, Any]) -> Any:
        index, data = item
        name = tf.strings.join(["audio ", tf.strings.as_string(index)])
        samples = audio_graph.decode(data, name)
        return assign(codebook, speech_encoder.encode_graph(samples[None])[0])

    spec = tf.RaggedTensorSpec([None], tf.int32, ragged_rank=0)
    # One by one: padded to a common length a clip would get other features.
    return tf.map_fn(tokens, (tf.range(tf.size(audio)), audio), fn_output_signature=spec)


def _embeddings(encoder: DualEncoder, ids: Any) -> dict[str, Any]:
    """Token ids int32 `[n, tokens]`, as long as the longest needs, to a signature's outputs."""
    import tensorflow as tf

    from model.vocabulary import PADDING, PREFIX_LENGTH

    lengths = tf.math.count_nonzero(ids != PADDING, axis=1, dtype=tf.int32)
    longest = tf.maximum(tf.reduce_max(lengths), PREFIX_LENGTH)
    return {"embeddings": tf.cast(encoder(ids[:, :longest]), tf.float32)}


def _same_count(items: Any, languages: Any) -> Any:
    import tensorflow as tf

    message = "as many languages are needed as items; an empty string stands for unknown"
    same = tf.debugging.assert_equal(tf.size(items), tf.size(languages), message)
    with tf.control_dependencies([same]):
        return tf.identity(items)


def _copy_preset(preset: str, out: OutputDir) -> list[str]:
    """Copies the files of a preset that was found right; returns their names in the output."""
    from model.dual_encoder import MANIFEST

    names = [*storage.read_json(storage.join(preset, MANIFEST)), MANIFEST]
    for name in names:
        storage.write_bytes(
            out.file("preset", name), storage.read_bytes(storage.join(preset, name))
        )
    return [f"preset/{name}" for name in names]


def _publish(folder: str, out: OutputDir) -> list[str]:
    """Copies a local SavedModel to the output; returns the names of its files there."""
    names = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            names.append(f"saved_model/{path.relative_to(folder).as_posix()}")
            storage.write_bytes(out.file(names[-1]), path.read_bytes())
    return names


if __name__ == "__main__":
    sys.exit(main())
