"""What a translation engine is, whichever it is: texts of one language in, translations out."""

from __future__ import annotations

import abc
import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipelines import storage
from pipelines.rejects import Rejected


@dataclass(frozen=True, slots=True)
class Translation:
    """What an engine made of a text.

    Args:
        text: may be empty; nothing is filtered yet.
        score: how sure the engine is, higher is better, on its own scale; None if it has none.
    """

    text: str
    score: float | None = None


@dataclass(frozen=True)
class EngineOptions:
    """Which engine, and how it translates.

    Args:
        engine: `apertium`, `ctranslate2:FOLDER` or `keras_hub:PRESET`.
        prompt: `keras_hub`: the template, see `pipelines.translation.prompts`.
        batch_size: texts translated together.
        max_tokens: `keras_hub` and `ctranslate2`: longest translation, in tokens.
        beam_size: `ctranslate2`: hypotheses kept at each step.
        precision: `keras_hub`: what it computes in.
    """

    engine: str
    prompt: str = ""
    batch_size: int = 16
    max_tokens: int = 256
    beam_size: int = 4
    precision: str = "float32"


class Engine(abc.ABC):
    """One way to translate. Made cheap, so that it can be asked before its model is loaded.

    Args:
        options: how it translates.
        path: what stands behind its name: a folder or a preset.
    """

    name: ClassVar[str]
    min_score: ClassVar[float | None] = None
    """Translations below it are left out unless the user says otherwise."""

    def __init__(self, options: EngineOptions, path: str) -> None:
        self.options = options
        self.path = path

    @abc.abstractmethod
    def identity(self, source: str, target: str) -> dict[str, Any]:
        """Everything that decides a translation: model hash, prompt, options.

        Args:
            source: a key of `pipelines.utterance.LANGUAGES`.
            target: another.

        Raises:
            Rejected: `unsupported-language`: it can't translate from the one into the other.
        """

    @abc.abstractmethod
    def load(self) -> None:
        """Loads the model, once in a worker process."""

    def close(self) -> None:  # noqa: B027
        """Lets go of what `load` and `translate` started."""

    @abc.abstractmethod
    def translate(
        self, texts: Sequence[str], source: str, target: str
    ) -> list[Translation | Rejected]:
        """Translates one batch, at most `options.batch_size` texts of about one length.

        Returns:
            Parallel to `texts`; a text that this engine can't take is a `Rejected`.
        """


def open_engine(options: EngineOptions) -> Engine:
    """The engine that the options name; its model is not loaded yet.

    Raises:
        ValueError: there is no such engine, or not what it needs.
    """
    name, _, path = options.engine.partition(":")
    if name == "apertium":
        from pipelines.translation.apertium import Apertium

        return Apertium(options, path)
    if name == "ctranslate2" and path:
        from pipelines.translation.ctranslate2 import CTranslate2

        return CTranslate2(options, path)
    if name == "keras_hub" and path:
        from pipelines.translation.keras_hub import KerasHub

        return KerasHub(options, path)
    raise ValueError(
        f"--engine {options.engine!r}: give apertium, ctranslate2:FOLDER or keras_hub:PRESET"
    )


def fingerprint(identity: dict[str, Any]) -> str:
    """What stands for an identity in provenance and in the names of folders: 12 hex digits."""
    return storage.sha256(json.dumps(identity, sort_keys=True).encode())[:12]


def one_line(text: str) -> str:
    """A text as engines and cache take it: NFC, white space collapsed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def translate_all(
    engine: Engine, texts: Sequence[str], source: str, target: str
) -> list[Translation | Rejected]:
    """Translates any number of texts, longest last, so that batches are of about one length.

    A batch in which something goes wrong (out of memory, a crash of the engine) is translated
    again one by one, so that only the text at fault is lost.

    Returns:
        Parallel to `texts`; the text at fault is a `Rejected` `engine-failure`.
    """
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
    found: dict[int, Translation | Rejected] = {}
    size = engine.options.batch_size
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        try:
            outcomes = engine.translate([texts[i] for i in batch], source, target)
        except Exception:
            outcomes = [_alone(engine, texts[i], source, target) for i in batch]
        found.update(zip(batch, map(_tidied, outcomes), strict=True))
    return [found[i] for i in range(len(texts))]


def _tidied(outcome: Translation | Rejected) -> Translation | Rejected:
    if isinstance(outcome, Rejected):
        return outcome
    return Translation(one_line(outcome.text), outcome.score)


def _alone(engine: Engine, text: str, source: str, target: str) -> Translation | Rejected:
    try:
        return engine.translate([text], source, target)[0]
    except Exception as error:
        said = str(error)[:300]
        detail = f"{engine.name} can't translate {text[:80]!r}: {said}"
        return Rejected("engine-failure", detail, type(error).__name__)


def folder_sha256(folder: str) -> str:
    """The hash of all files of a local folder, their names included.

    Raises:
        ValueError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"{folder} is no folder on this machine")
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            content = hashlib.sha256()
            while block := file.read(1 << 20):
                content.update(block)
        digest.update(f"{path.relative_to(root)}\0{content.hexdigest()}\n".encode())
    return digest.hexdigest()
