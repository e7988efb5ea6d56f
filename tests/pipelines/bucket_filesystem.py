"""A Beam filesystem for tests, like a bucket: `bucket://tmp/a` is the local file `/tmp/a`."""

from __future__ import annotations

from typing import Any

from apache_beam.io.filesystem import FileMetadata, MatchResult
from apache_beam.io.localfilesystem import LocalFileSystem


class BucketFileSystem(LocalFileSystem):
    """Beam finds it by its scheme once this module is imported."""

    @classmethod
    def scheme(cls) -> str:
        return "bucket"

    def open(self, path: str, *arguments: Any, **keywords: Any) -> Any:
        return super().open(_local(path), *arguments, **keywords)

    def create(self, path: str, *arguments: Any, **keywords: Any) -> Any:
        return super().create(_local(path), *arguments, **keywords)

    def exists(self, path: str) -> bool:
        return super().exists(_local(path))

    def last_updated(self, path: str) -> float:
        return float(super().last_updated(_local(path)))

    def delete(self, paths: list[str]) -> None:
        LocalFileSystem(None).delete([_local(path) for path in paths])

    def match(self, patterns: list[str], limits: Any = None) -> list[MatchResult]:
        results = super().match([_local(pattern) for pattern in patterns], limits)
        return [
            MatchResult(pattern, [_remote(found) for found in result.metadata_list])
            for pattern, result in zip(patterns, results, strict=True)
        ]


def _local(path: str) -> str:
    return path.removeprefix("bucket:/")


def _remote(found: FileMetadata) -> FileMetadata:
    return FileMetadata(f"bucket:/{found.path}", found.size_in_bytes)
