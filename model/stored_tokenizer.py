"""A preset's tokenizer where it can't run: its files are kept, to be written with the next preset.

Tokenizers of KerasHub run on TensorFlow. Training on prepared arrays needs no tokens made, but the
model that comes out of it needs its tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class StoredTokenizer:
    """Files and configuration of a `model.tokenization.PresetTokenizer`.

    Args:
        config: what its `config` gave.
        files: what its `save_assets` wrote, by name.
        size: how many text rows there are.
    """

    def __init__(self, config: dict[str, Any], files: Mapping[str, bytes], *, size: int) -> None:
        self.size = size
        self._config = config
        self._files = files

    def split(self, texts: Any) -> Any:
        """Raises RuntimeError: texts can't be split here."""
        raise RuntimeError("a model loaded for training on arrays can't tokenize texts")

    def config(self) -> dict[str, Any]:
        """What it was given."""
        return self._config

    def save_assets(self, folder: str) -> list[str]:
        """Writes the files into a local folder; returns their names."""
        for name, data in self._files.items():
            Path(folder, name).write_bytes(data)
        return sorted(self._files)
