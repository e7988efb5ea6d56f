from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.output_dir import OutputError
from scann_index.bundle import Bundle
from scann_index.recipe import Choice
from tests.scann_index.synthetic import clustered, make_bundle

TRIALS = 200
QUERIES = clustered(8, seed=9)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Path]:
    """Two indexes of the same shape with other vectors; each has all three engines."""
    folder = tmp_path_factory.mktemp("damage")
    choice = Choice(exact_below=300, tree_from=600, reorder="int8")
    paths = []
    for seed in (1, 2):
        groups = {
            "text/en": clustered(700, seed=seed),
            "text/fr": clustered(400, seed=10 + seed),
            "speech/fr": clustered(40, seed=20 + seed),
        }
        paths.append(Path(make_bundle(str(folder / f"index{seed}"), groups, choice=choice)))
    return paths


def answers(folder: Path) -> list[np.ndarray]:
    bundle = Bundle.open(str(folder))
    found = [shard.search(QUERIES, 5) for shard in bundle.shards()]
    ids = [row.id for shard in bundle.shards() for row in shard.rows_at([0, 3])]
    return [array for pair in found for array in pair] + [np.array(ids)]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def harm(folder: Path, other: Path, rng: np.random.Generator) -> str:
    """Does one thing to an index that may happen to it; returns which."""
    path = rng.choice(np.array(files(folder), object))
    data = path.read_bytes()
    kind = str(rng.choice(["move", "cut", "flip", "swap", "mix", "lose", "grow", "empty", "zero"]))
    if kind == "move":
        shutil.move(str(folder), str(folder) + "-away")
        shutil.move(str(folder) + "-away", str(folder))
    elif kind == "cut":
        path.write_bytes(data[: int(rng.integers(len(data)))])
    elif kind == "flip":
        bits = bytearray(data)
        bits[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(bits))
    elif kind == "swap":
        same = [p for p in files(folder) if p.name == path.name]
        partner = rng.choice(np.array(same, object))
        theirs = partner.read_bytes()
        partner.write_bytes(data)
        path.write_bytes(theirs)
    elif kind == "mix":
        path.write_bytes((other / path.relative_to(folder)).read_bytes())
    elif kind == "lose":
        path.unlink()
    elif kind == "grow":
        path.write_bytes(data + b"\0" * int(rng.integers(1, 100)))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "zero":
        start = int(rng.integers(len(data)))
        path.write_bytes(
            data[:start] + b"\0" * len(data[start : start + 512]) + data[start + 512 :]
        )
    return kind


def test_harm_of_any_kind_is_refused_with_its_reason_or_changes_no_answer(bundles, tmp_path):
    expected = answers(bundles[0])
    outcomes: Counter[tuple[str, str]] = Counter()
    for trial in range(TRIALS):
        rng = np.random.default_rng(trial)
        copy = tmp_path / f"copy{trial}"
        shutil.copytree(bundles[0], copy)
        kind = harm(copy, bundles[1], rng)
        try:
            found = answers(copy)
        except OutputError as error:
            assert str(copy) in str(error), (trial, kind, error)
            outcomes[kind, "refused"] += 1
        else:
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=f"{trial} {kind}")
            outcomes[kind, "answered"] += 1
        shutil.rmtree(copy)
    assert outcomes["move", "answered"] and not outcomes["move", "refused"]
    for kind in ("cut", "flip", "swap", "mix", "lose", "grow", "empty", "zero"):
        assert outcomes[kind, "refused"], outcomes
    refused = sum(count for (_, outcome), count in outcomes.items() if outcome == "refused")
    # What was harmed without being refused: notes that no answer depends on.
    assert refused > TRIALS // 2


def test_an_index_laid_over_another_one_is_refused(bundles, tmp_path):
    mixed = shutil.copytree(bundles[0], tmp_path / "mixed")
    shutil.copytree(bundles[1] / "shards", mixed / "shards", dirs_exist_ok=True)
    with pytest.raises(OutputError, match=r"vectors\.npy is damaged: its SHA-256"):
        Bundle.open(str(mixed))
    shutil.copy(bundles[1] / "info.json", mixed / "info.json")
    with pytest.raises(OutputError, match=r"info\.json was altered"):
        Bundle.open(str(mixed))
    shutil.copy(bundles[1] / "COMPLETED", mixed / "COMPLETED")
    for one, other in zip(answers(mixed), answers(bundles[1]), strict=True):
        np.testing.assert_array_equal(one, other)
