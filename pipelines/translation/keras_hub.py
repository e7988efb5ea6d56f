"""Any KerasHub `CausalLM`, asked by a prompt: TranslateGemma, or whatever follows instructions.

Greedy, in batches of one size and one of a few lengths, so that a handful of programs is compiled
and then used for all texts. An answer ends at a stop token or at the end of its line.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipelines import local_copy
from pipelines.rejects import Rejected
from pipelines.translation import prompts
from pipelines.translation.engine import Engine, EngineOptions, Translation, folder_sha256

LENGTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""Tokens of prompt and answer together: the shapes that may be compiled."""
_END_TOKENS = ("end_token_id", "end_token2_id")
_TURN_ENDS = ("<end_of_turn>", "<|eot_id|>", "<|im_end|>", "<turn|>")


class KerasHub(Engine):
    """A KerasHub preset with a prompt template.

    Args:
        options: `prompt`, `batch_size`, `max_tokens` and `precision` matter.
        path: a KerasHub name, `kaggle://…`, `hf://…`, or a preset folder, local or `gs://…`.

    It has no score: greedy generation doesn't give one away.
    """

    name: ClassVar[str] = "keras_hub"

    def __init__(self, options: EngineOptions, path: str) -> None:
        super().__init__(options, local_copy.fetch_model(path))
        self.template = prompts.template(options.prompt, path)
        # Workers may not have the file that it came from.
        self.options = dataclasses.replace(options, prompt=self.template)
        self._model: Any = None

    def identity(self, source: str, target: str) -> dict[str, Any]:
        """The preset, what it is asked, and how it computes."""
        return {
            "engine": self.name,
            **self._preset,
            "prompt": self.template,
            "sampler": "greedy",
            "max_tokens": self.options.max_tokens,
            "precision": self.options.precision,
        }

    def load(self) -> None:
        """Loads the model."""
        from pipelines import quiet  # noqa: F401  (before TensorFlow)

        import keras_hub  # isort: skip

        load, dtype = keras_hub.models.CausalLM.from_preset, self.options.precision
        try:
            self._model = load(self.path, dtype=dtype)
        except FileNotFoundError:
            # A preset of a backbone and a tokenizer, without the task's own files.
            self._model = load(self.path, dtype=dtype, preprocessor=None)
            tokenizer = keras_hub.models.Tokenizer.from_preset(self.path)
            self._model.preprocessor = self._model.preprocessor_cls(tokenizer=tokenizer)
        self._model.compile(sampler="greedy")
        self._stops = self._stop_ids()

    def translate(
        self, texts: Sequence[str], source: str, target: str
    ) -> list[Translation | Rejected]:
        """Generates after each prompt; texts of one batch should be of about one length."""
        asked = [prompts.filled(self.template, text, source, target) for text in texts]
        lengths = [len(ids) for ids in self._ids(asked)]
        found: list[Translation | Rejected] = [
            Rejected("too-long", f"a prompt of {n} tokens, over {LENGTHS[-1]} with its answer")
            for n in lengths
        ]
        fits = [i for i, n in enumerate(lengths) if n + self._budget(texts[i]) <= LENGTHS[-1]]
        if fits:
            need = max(lengths[i] + self._budget(texts[i]) for i in fits)
            length = next(rung for rung in LENGTHS if rung >= need)
            answers = self._generate([asked[i] for i in fits], length)
            for i, answer in zip(fits, answers, strict=True):
                found[i] = answer
        return found

    def _budget(self, text: str) -> int:
        """How many tokens an answer may take: more than any translation of the text."""
        return min(self.options.max_tokens, 16 + 2 * len(self._ids([text])[0]))

    def _generate(self, asked: list[str], length: int) -> list[Translation | Rejected]:
        # Alone comes what a full batch had no memory for.
        padding = self.options.batch_size - len(asked) if len(asked) > 1 else 0
        inputs = self._model.preprocessor.generate_preprocess(
            [*asked, *[asked[-1]] * padding], sequence_length=length
        )
        generate = self._model.make_generate_function()
        outputs = generate(inputs, stop_token_ids=self._stops)
        tokens = np.array(outputs["token_ids"])[: len(asked)]
        prompt = np.array(inputs["padding_mask"]).sum(axis=1)[: len(asked), None]
        place = np.arange(tokens.shape[1])
        stopped = np.isin(tokens, self._stops) & (place >= prompt)
        end = np.where(stopped.any(axis=1), stopped.argmax(axis=1), tokens.shape[1])[:, None]
        # Tables may have rows beyond the vocabulary.
        words = tokens < self._model.preprocessor.tokenizer.vocabulary_size()
        answers = self._model.preprocessor.generate_postprocess(
            {"token_ids": tokens, "padding_mask": (place >= prompt) & (place < end) & words}
        )
        return [
            Translation(str(answer).strip())
            if last < tokens.shape[1]
            else Rejected("unfinished", f"no end after {tokens.shape[1] - int(first)} tokens")
            for answer, first, last in zip(answers, prompt[:, 0], end[:, 0], strict=True)
        ]

    def _ids(self, texts: list[str]) -> list[Any]:
        """Token ids of each text, with the start token that a prompt begins with."""
        ids = self._model.preprocessor.tokenizer(texts)
        ids = ids.to_list() if hasattr(ids, "to_list") else ids
        return [[0, *one] for one in ids]

    def _stop_ids(self) -> list[int]:
        """The tokens that end an answer: end of text, of turn, of line."""
        tokenizer = self._model.preprocessor.tokenizer
        found = {getattr(tokenizer, name, None) for name in _END_TOKENS}
        vocabulary = set(tokenizer.get_vocabulary())
        found |= {tokenizer.token_to_id(token) for token in _TURN_ENDS if token in vocabulary}
        for lines in ("\n", "\n\n"):
            ids = self._ids([lines])[0][1:]
            found |= {ids[-1]} if len(ids) == 1 else set()
        return sorted(int(token) for token in found if token is not None)

    @cached_property
    def _preset(self) -> dict[str, str]:
        """A folder is its files' hash; a name stands for a handle, which carries its version."""
        if Path(self.path).is_dir():
            return {"model_sha256": folder_sha256(self.path)}
        if "://" in self.path:
            return {"preset": self.path}
        from pipelines import quiet  # noqa: F401  (before TensorFlow)

        import keras_hub  # isort: skip

        presets = keras_hub.models.CausalLM.presets
        if self.path not in presets:
            near = difflib.get_close_matches(self.path, presets, 1, 0.5)
            hint = f", did you mean {near[0]}?" if near else ""
            raise ValueError(f"{self.path} is no folder here and no preset of KerasHub{hint}")
        return {"preset": presets[self.path]["kaggle_handle"]}
