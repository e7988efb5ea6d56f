"""Translations are kept in files that appear whole, and found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import storage
from pipelines.translation.cache import Cache, read_part
from pipelines.translation.engine import Translation

IDENTITY = {"engine": "apertium", "model_sha256": "0" * 64}
KNOWN = {"el gato": Translation("the cat", 1.0), "la luna": Translation("", None)}


def found(cache: Cache) -> dict[str, Translation]:
    return {text: translation for part in cache.parts() for text, translation in read_part(part)}


def test_what_is_added_is_found_again_text_and_score(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), IDENTITY, "es", "en")
    cache.add(KNOWN)
    cache.add({"el perro": Translation("the dog", 0.5)})
    cache.add({})

    assert found(cache) == {**KNOWN, "el perro": Translation("the dog", 0.5)}
    assert len(cache.parts()) == 2


def test_another_engine_or_direction_does_not_see_it(tmp_path: Path) -> None:
    Cache(str(tmp_path), IDENTITY, "es", "en").add(KNOWN)

    for identity, source, target in (
        ({**IDENTITY, "model_sha256": "1" * 64}, "es", "en"),
        ({**IDENTITY, "prompt": "p"}, "es", "en"),
        (IDENTITY, "es", "fr"),
        (IDENTITY, "en", "es"),
    ):
        assert found(Cache(str(tmp_path), identity, source, target)) == {}


def test_the_same_work_done_twice_writes_the_same_file(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), IDENTITY, "es", "en")
    cache.add(KNOWN)
    (part,) = cache.parts()
    before = Path(part).read_bytes()
    cache.add(dict(reversed(KNOWN.items())))

    assert cache.parts() == [part]
    assert Path(part).read_bytes() == before


def test_a_half_written_file_is_not_seen_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), IDENTITY, "es", "en")
    cache.add(KNOWN)
    (part,) = cache.parts()
    data = Path(part).read_bytes()
    Path(part).with_name(f"{storage.TEMPORARY}x").write_bytes(data[:50])
    assert found(cache) == KNOWN

    Path(part).write_bytes(data[:-20])
    with pytest.raises(ValueError, match=rf"{part} is damaged, remove it"):
        found(cache)


def test_a_cache_may_lie_in_a_bucket(tmp_path: Path) -> None:
    from tests.pipelines import bucket_filesystem  # noqa: F401

    cache = Cache(f"bucket:/{tmp_path}/cache", IDENTITY, "es", "en")
    cache.add(KNOWN)

    assert found(cache) == KNOWN
    assert found(Cache(f"{tmp_path}/cache", IDENTITY, "es", "en")) == KNOWN
