"""What `pipelines.translate` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines import options as command_line
from pipelines.options import option
from pipelines.utterance import LANGUAGES, SPLITS

TASKS = ("translation", "bitext")


@dataclass(frozen=True)
class TranslateOptions:
    """The options of `pipelines.translate`."""

    data: str = option(help="folder written by pipelines.prepare")
    output: str = option(help="folder to write to, local or gs://")
    engine: str = option(
        help="apertium; ctranslate2:FOLDER (NLLB, M2M-100, OPUS-MT); or keras_hub:PRESET, any "
        "CausalLM. Folders may be gs://"
    )
    into: tuple[str, ...] = option(("en",), help="languages to translate into")
    languages: tuple[str, ...] = option(
        (), help="languages to translate from. Else all that the engine can"
    )
    splits: tuple[str, ...] = option(("train",), help="which of train, dev, test")
    tasks: tuple[str, ...] = option(
        TASKS, help="translation: audio tokens with translated text; bitext: text with text"
    )
    prompt: str = option(
        "",
        help="keras_hub: a file, or the text itself, with {text}, {source_language}, "
        "{target_language}, {source_code}, {target_code}; translategemma is built in, and the "
        "default for presets of that name",
    )
    batch_size: int = option(16, help="texts translated together; less where memory is short")
    max_tokens: int = option(256, help="a translation that is longer, in tokens, is rejected")
    beam_size: int = option(4, help="ctranslate2: hypotheses kept at each step")
    precision: str = option(
        "float32", help="what keras_hub computes in", choices=("float32", "bfloat16")
    )
    cache: str = option(
        "", help="where translations are kept; else the folder translation-cache beside the output"
    )
    max_characters: int = option(1000, help="longer texts are rejected untranslated")
    max_length_ratio: float = option(
        3.0, help="reject if one side is so many times longer than the other, both romanized"
    )
    min_language_confidence: float = option(
        0.3, help="reject if it looks less like the target language, from 0 to 1; 0 doesn't look"
    )
    min_score: float | None = option(
        None,
        help="reject below it: apertium, the share of words it knows (else 0.5); ctranslate2, "
        "the mean log-probability",
    )
    keep_copies: bool = option(False, help="keep translations that equal their source")
    max_rejects: float = option(0.5, help="fail if a larger share of the pairs is rejected")
    accelerator: str = option(
        "",
        help="Dataflow: the GPU of the workers that translate: "
        "type:nvidia-l4;count:1;install-nvidia-driver",
    )
    limit: int | None = option(None, help="translate only so many recordings")
    overwrite: bool = option(False, help="throw away what is there (not the cache), begin anew")
    dry_run: bool = option(False, help="print what would be translated, then stop")

    def __post_init__(self) -> None:
        for name, allowed in (
            ("splits", SPLITS),
            ("tasks", TASKS),
            ("into", tuple(LANGUAGES)),
            ("languages", tuple(LANGUAGES)),
        ):
            if unknown := set(getattr(self, name)) - set(allowed):
                known = ", ".join(allowed) if len(allowed) < 9 else "pipelines.utterance.LANGUAGES"
                raise ValueError(f"--{name}: {', '.join(sorted(unknown))} is none of {known}")
            if name != "languages" and not getattr(self, name):
                raise ValueError(f"--{name} needs at least one value")
        for name in ("batch_size", "max_tokens", "beam_size", "max_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise ValueError("--limit must be at least 1")
        if not 0 <= self.min_language_confidence <= 1:
            raise ValueError("--min-language-confidence lies between 0 and 1")
        if not 0 <= self.max_rejects <= 1:
            raise ValueError("--max-rejects is a share between 0 and 1")
        if self.max_length_ratio < 1:
            raise ValueError("--max-length-ratio must be at least 1")

    def content(self) -> dict[str, Any]:
        """What decides the output's bytes, not where, how fast or whether it is made."""
        apart = {"data", "output", "cache", "overwrite", "dry_run", "max_rejects"}
        apart |= {"batch_size", "accelerator"}
        return {k: v for k, v in command_line.as_dict(self).items() if k not in apart}
