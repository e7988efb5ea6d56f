"""CTranslate2: NLLB, M2M-100 and OPUS-MT models, fast on CPUs and GPUs.

A folder as CTranslate2's converters write it, with the SentencePiece models of the original beside
`model.bin`: `source.spm` and `target.spm` (OPUS-MT), or one for both sides
(`sentencepiece.bpe.model` of NLLB and M2M-100).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pipelines import local_copy
from pipelines.rejects import Rejected
from pipelines.translation.engine import Engine, EngineOptions, Translation, folder_sha256
from pipelines.translation.language_names import flores, iso_639_3

SHARED = ("sentencepiece.bpe.model", "sentencepiece.model", "spm.model")
END = "</s>"
MAX_TOKENS = 512
"""Longer texts are refused: these models know sentences."""


class CTranslate2(Engine):
    """A CTranslate2 model in a folder.

    Args:
        options: `batch_size`, `max_tokens` and `beam_size` matter.
        path: the folder, local or `gs://…`.

    The score is the mean log-probability of the translation's tokens, at most 0.
    """

    name: ClassVar[str] = "ctranslate2"

    def __init__(self, options: EngineOptions, path: str) -> None:
        super().__init__(options, path := local_copy.fetch_model(path))
        missing = [name for name in ("model.bin", "config.json") if not Path(path, name).is_file()]
        if missing:
            raise ValueError(
                f"{path} has no {missing[0]}: give a folder of ct2-transformers-converter or "
                "ct2-opus-mt-converter"
            )
        if not importlib.util.find_spec("ctranslate2"):
            raise ValueError(
                "ctranslate2 is missing: pip install -c constraints.txt -e '.[translate]'"
            )
        self._source_model, self._target_model = self._sentencepiece()
        self._translator: Any = None

    def identity(self, source: str, target: str) -> dict[str, Any]:
        """The hash of the folder, the tags of both languages, and the options."""
        before, prefix = self._tags(source, target)
        return {
            "engine": self.name,
            "model_sha256": self._sha256,
            "tags": [before, prefix],
            "beam_size": self.options.beam_size,
            "max_tokens": self.options.max_tokens,
        }

    def load(self) -> None:
        """Loads model and tokenizers."""
        import ctranslate2
        import sentencepiece

        self._translator = ctranslate2.Translator(self.path, device="auto", compute_type="auto")
        self._encode = sentencepiece.SentencePieceProcessor(model_file=self._source_model)
        self._decode = sentencepiece.SentencePieceProcessor(model_file=self._target_model)

    def translate(
        self, texts: Sequence[str], source: str, target: str
    ) -> list[Translation | Rejected]:
        """Beam search over one batch."""
        before, prefix = self._tags(source, target)
        # A converter may have noted that the model itself adds the end.
        end = [] if self._config.get("add_source_eos") else [END]
        pieces = self._encode.encode(list(texts), out_type=str)
        fits = [i for i, tokens in enumerate(pieces) if len(tokens) <= MAX_TOKENS]
        results = self._translator.translate_batch(
            [[*before, *pieces[i], *end] for i in fits],
            target_prefix=[prefix] * len(fits) if prefix else None,
            beam_size=self.options.beam_size,
            max_decoding_length=self.options.max_tokens,
            return_scores=True,
            return_end_token=True,
        )
        found: list[Translation | Rejected] = [
            Rejected("too-long", f"{len(tokens)} tokens, over {MAX_TOKENS}") for tokens in pieces
        ]
        for i, result in zip(fits, results, strict=True):
            tokens = result.hypotheses[0][len(prefix) :]
            if tokens and tokens[-1] == END:
                text = self._decode.decode(tokens[:-1])
                found[i] = Translation(text.strip(), float(result.scores[0]))
            else:
                found[i] = Rejected("unfinished", f"no end after {len(tokens)} tokens")
        return found

    def _tags(self, source: str, target: str) -> tuple[list[str], list[str]]:
        """The tokens before the source text and before its translation, as the vocabulary has them.

        Raises:
            Rejected: `unsupported-language`.
        """
        words = self._vocabulary
        for named in (flores, "__{}__".format):
            if named("en") in words:
                if named(source) in words and named(target) in words:
                    return [named(source)], [named(target)]
                raise Rejected(
                    "unsupported-language",
                    f"{self.path} knows no {named(source)} or no {named(target)}",
                )
        several = [w for w in words if w.startswith(">>")]
        if not several:
            return [], []
        for code in (iso_639_3(target), target):
            if f">>{code}<<" in words:
                return [f">>{code}<<"], []
        raise Rejected(
            "unsupported-language", f"{self.path} translates into {' '.join(sorted(several)[:9])}"
        )

    @cached_property
    def _sha256(self) -> str:
        return folder_sha256(self.path)

    @cached_property
    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(Path(self.path, "config.json").read_bytes())
        return config

    @cached_property
    def _vocabulary(self) -> set[str]:
        for stem in ("shared_vocabulary", "source_vocabulary"):
            listed, lines = Path(self.path, f"{stem}.json"), Path(self.path, f"{stem}.txt")
            if listed.is_file():
                return set(json.loads(listed.read_bytes()))
            if lines.is_file():
                return set(lines.read_text(encoding="utf-8").split("\n"))
        raise ValueError(f"{self.path} has no vocabulary beside model.bin")

    def _sentencepiece(self) -> tuple[str, str]:
        """The files of both sides' SentencePiece models."""
        pair = (str(Path(self.path, "source.spm")), str(Path(self.path, "target.spm")))
        if all(Path(path).is_file() for path in pair):
            return pair
        for name in SHARED:
            path = Path(self.path, name)
            if path.is_file():
                return str(path), str(path)
        raise ValueError(
            f"{self.path} has no SentencePiece model: copy source.spm and target.spm, or "
            f"{SHARED[0]}, from the original model (--copy_files of ct2-transformers-converter)"
        )
