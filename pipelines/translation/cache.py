"""What was translated before: Parquet files that are only ever added, never changed.

    CACHE/apertium-3f2a…/identity.json         what decides its translations: model, prompt, …
    CACHE/apertium-3f2a…/es-en/9c1d….parquet   texts of one unit: text, translation, score

A file appears whole or not at all, so a killed run leaves every finished unit behind. Its name is
the hash of its texts: the same work, done twice at once, writes the same file. Only what an engine
said is kept: what it failed on is tried again, and what is thought of it is decided by filters.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines import storage
from pipelines.translation.engine import Translation, fingerprint


class Cache:
    """The translations of one engine from one language into another.

    Args:
        folder: of the whole cache, local or `gs://`.
        identity: what `Engine.identity` says of the direction.
        source: language of the texts.
        target: language of the translations.
    """

    def __init__(self, folder: str, identity: Mapping[str, Any], source: str, target: str) -> None:
        self._identity = dict(identity)
        self._root = storage.join(
            folder, f"{self._identity['engine']}-{fingerprint(self._identity)}"
        )
        self._folder = storage.join(self._root, f"{source}-{target}")

    def parts(self) -> list[str]:
        """The files there are."""
        return storage.list_files(self._folder, "*.parquet")

    def add(self, translations: Mapping[str, Translation]) -> None:
        """Publishes translations, by text, in one file."""
        import pyarrow
        import pyarrow.parquet

        if not translations:
            return
        identity = storage.join(self._root, "identity.json")
        if not storage.exists(identity):
            storage.write_json(identity, self._identity)
        texts = sorted(translations)
        table = pyarrow.table(
            {
                "text": pyarrow.array(texts, pyarrow.string()),
                "translation": [translations[text].text for text in texts],
                "score": pyarrow.array([translations[t].score for t in texts], pyarrow.float64()),
            }
        )
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(table, buffer)
        name = storage.sha256(json.dumps(texts).encode())[:32]
        storage.write_bytes(storage.join(self._folder, f"{name}.parquet"), buffer.getvalue())


def read_part(path: str) -> Iterator[tuple[str, Translation]]:
    """The translations of one file, by text.

    Raises:
        ValueError: it is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(storage.read_bytes(path)))
        columns = [table.column(name).to_pylist() for name in ("text", "translation", "score")]
    except (pyarrow.ArrowException, KeyError, OSError) as error:
        raise ValueError(f"{path} is damaged, remove it: {error}") from None
    for text, translation, score in zip(*columns, strict=True):
        yield text, Translation(translation, score)
