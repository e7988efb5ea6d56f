"""A Beam filesystem for tests: `shelf://tmp/a.wav` is the local file `/tmp/a.wav`."""

from __future__ import annotations

from typing import Any

from apache_beam.io.localfilesystem import LocalFileSystem


class ShelfFileSystem(LocalFileSystem):
    """Beam finds it by its scheme once this module is imported."""

    @classmethod
    def scheme(cls) -> str:
        return "shelf"

    def open(self, path: str, *arguments: Any, **keywords: Any) -> Any:
        return super().open(path.removeprefix("shelf:/"), *arguments, **keywords)

    def exists(self, path: str) -> bool:
        return super().exists(path.removeprefix("shelf:/"))
