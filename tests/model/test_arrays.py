import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import training_run
from model.array_data import ArrayPairs, BatchMaker, Sequences
from model.arrays import write
from model.data import Augmentation, training_batches
from model.dual_encoder import DualEncoder
from model.feed import settled
from model.text_rows import TextRowsOptions
from model.text_rows import write as write_text_rows
from model.train import TrainOptions, build, train
from pipelines.output_dir import OutputDir
from pipelines.pairs import read_pairs
from tests.families import make_preset

from keras import ops  # isort: skip

SMALL = {
    "steps": 8,
    "evaluate_every": 4,
    "batch_size": 12,
    "warmup_steps": 1,
    "layers": 1,
    "max_speech_tokens": 24,
    "max_text_tokens": 24,
    "bitext": 0.25,
}
NO_AUGMENTATION = {"token_dropout": 0.0, "token_jitter": 0.0, "language_dropout": 0.0}
TEXTS = ["red cat", "bleu poisson", "nero gatto"]


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> str:
    return make_preset("gemma3", str(tmp_path_factory.mktemp("presets")))


@pytest.fixture(scope="module")
def options(tiny_data, preset, tmp_path_factory) -> TrainOptions:
    folder = tmp_path_factory.mktemp("arrays")
    return TrainOptions(
        data=(tiny_data.path,), output=str(folder / "arrays"), backbone=preset, **SMALL
    )


@pytest.fixture(scope="module")
def arrays(options) -> OutputDir:
    write(options)
    return OutputDir.open(options.output, kind="arrays")


def on_arrays(options: TrainOptions, output: Path, **changes) -> TrainOptions:
    given = {**vars(options), "data": (), "arrays": options.output, "output": str(output)}
    return TrainOptions(**{**given, **changes})


def vectors(preset: str) -> np.ndarray:
    encoder = DualEncoder.from_preset(preset)
    return encoder.encode_text(TEXTS, ["en", "fr", "it"])


def test_sequences_are_chosen_thinned_collapsed_and_padded():
    ragged = Sequences(np.array([5, 5, 6, 7, 7, 8], np.int32), np.array([3, 0, 2, 1], np.int32))
    assert ragged.take(np.array([3, 0])).padded(3).tolist() == [[8, -1, -1], [5, 5, 6]]
    assert ragged.collapsed().padded(2).tolist() == [[5, 6], [-1, -1], [7, -1], [8, -1]]
    kept = ragged.keep(np.array([0, 1, 0, 0, 1, 1], bool))
    assert kept.lengths.tolist() == [1, 0, 1, 1]


def test_without_augmentation_the_arrays_hold_what_tf_data_makes(arrays, options, tiny_data):
    encoder = DualEncoder.from_preset(arrays.file("preset"), for_arrays=True)
    whole = build(options, [tiny_data]).encoder.vocabulary
    pairs = ArrayPairs.load(arrays, "train")
    maker = BatchMaker(
        pairs,
        encoder.vocabulary,
        batch_size=12,
        seed=0,
        bitext=0.25,
        augmentation=Augmentation(**NO_AUGMENTATION),
    )
    used = encoder.text_table.token_ids

    def as_whole(ids: np.ndarray) -> np.ndarray:
        """Ids of the short table to those of the whole one."""
        places = ids - whole.first_text
        is_text = (places >= 0) & (places < len(used))
        moved = np.where(
            places >= len(used), ids + whole.text_size - whole.first_text - len(used), ids
        )
        return np.where(is_text, used[np.where(is_text, places, 0)] + whole.first_text, moved)

    def rows(batches) -> set:
        found = set()
        for batch in batches:
            for source, target in zip(batch["source"], batch["target"], strict=True):
                found.add((tuple(source[source > 0]), tuple(target[target > 0])))
        return found

    made = [
        {side: as_whole(batch[side]) for side in ("source", "target")}
        for batch in (maker.batch(step) for step in range(40))
    ]
    expected = training_batches(
        tiny_data,
        whole,
        batch_size=12,
        seed=0,
        bitext=0.25,
        augmentation=Augmentation(**NO_AUGMENTATION),
    ).take(40)
    assert rows(made) == rows({k: v.numpy() for k, v in b.items()} for b in expected)


def test_augmentation_leaves_out_and_replaces_as_often_as_it_is_asked_to(arrays):
    encoder = DualEncoder.from_preset(arrays.file("preset"), for_arrays=True)
    pairs = ArrayPairs.load(arrays, "train")
    neighbors = np.full((32, 4), 31)
    augmentation = Augmentation(0.2, 0.3, neighbors, 0.5)
    maker = BatchMaker(pairs, encoder.vocabulary, batch_size=12, seed=0, augmentation=augmentation)
    rng = np.random.default_rng(0)
    tokens = Sequences(np.zeros(20_000, np.int32), np.full(1000, 20, np.int32))
    changed = maker._augmented(tokens, np.zeros(20_000, bool), rng)
    assert len(changed.values) / 20_000 == pytest.approx(0.8, abs=0.01)
    assert (changed.values == 31).mean() == pytest.approx(0.3, abs=0.015)
    prefixes = np.concatenate([maker.batch(step)["target"][:, 1] for step in range(50)])
    assert (prefixes == 3).mean() == pytest.approx(0.5, abs=0.07)


def test_a_batch_depends_on_seed_and_step_alone_and_passes_go_through_all_rows(arrays):
    encoder = DualEncoder.from_preset(arrays.file("preset"), for_arrays=True)
    pairs = ArrayPairs.load(arrays, "train")
    one, other, third = (
        BatchMaker(
            pairs,
            encoder.vocabulary,
            batch_size=9,
            seed=seed,
            augmentation=Augmentation(**NO_AUGMENTATION),
        )
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(one.batch(7)[k], other.batch(7)[k]) for k in one.batch(7))
    assert not np.array_equal(one.batch(7)["sentence"], third.batch(7)["sentence"])
    rows, count = one.streams[0]
    passed = np.concatenate([one._rows(step, rows, count) for step in range(len(rows) // count)])
    assert sorted(passed) == sorted(rows)


def test_training_on_arrays_resumes_and_its_model_gets_its_text_rows_back(
    arrays, options, preset, tiny_data, tmp_path
):
    train(on_arrays(options, tmp_path / "run"))
    half = on_arrays(options, tmp_path / "half")
    with pytest.raises(KeyboardInterrupt):
        _train_until(half, 4)
    train(half)
    assert OutputDir.open(half.output, kind="run").stats["resumed_at_step"] == 4
    with pytest.warns(UserWarning, match="text rows"):
        short = vectors(str(tmp_path / "run" / "preset"))
        assert np.array_equal(short, vectors(str(tmp_path / "half" / "preset")))
    write_text_rows(TextRowsOptions(model=str(tmp_path / "run"), output=str(tmp_path / "whole")))
    curves = [(tmp_path / run / "log.jsonl").read_text() for run in ("run", "whole")]
    assert curves[0] == curves[1]
    whole = DualEncoder.from_preset(str(tmp_path / "whole" / "preset"))
    pairs = [p for p in read_pairs(tiny_data, "dev") if p.task == "transcription"]
    logged = json.loads(curves[1].splitlines()[-1])["dev_recall_at_1"]
    assert training_run.dev_recall(whole, pairs) == pytest.approx(logged)
    assert whole.text_table.rows > len(
        DualEncoder.from_preset(arrays.file("preset"), for_arrays=True).text_table.token_ids
    )
    # Texts of the data need no other rows.
    assert np.allclose(vectors(str(tmp_path / "whole" / "preset")), short, atol=1e-6)
    other = make_preset("gemma3", str(tmp_path), seed=1)
    with pytest.raises(ValueError, match="did not start from this preset"):
        write_text_rows(
            TextRowsOptions(
                model=str(tmp_path / "run"), output=str(tmp_path / "no"), backbone=other
            )
        )


def _train_until(options: TrainOptions, step: int) -> None:
    """Trains and is interrupted after a checkpoint."""
    save = training_run.save_checkpoint

    def interrupted(model, out, at):
        save(model, out, at)
        if at == step:
            raise KeyboardInterrupt

    training_run.save_checkpoint = interrupted
    try:
        train(options)
    finally:
        training_run.save_checkpoint = save


def test_arrays_of_a_preset_serve_its_random_twin_too(arrays, options, preset, tmp_path):
    """As `--no-pretrained` makes it of the preset itself: alike in law, not in numbers."""
    twins = [
        build(on_arrays(options, tmp_path, pretrained=False, seed=s), [arrays]) for s in (1, 2)
    ]
    stored = build(on_arrays(options, tmp_path), [arrays]).encoder
    written = dataclasses.replace(options, output=str(tmp_path / "random"), pretrained=False)
    expected = build(on_arrays(written, tmp_path), [write(written)]).encoder
    for weight, *others in zip(
        stored.weights, expected.weights, *(t.encoder.weights for t in twins), strict=True
    ):
        values, law, one, other = (np.asarray(ops.cast(w, "float32")) for w in (weight, *others))
        if values.ndim > 1 and values.std() > 0:
            assert not np.array_equal(one, values)
            assert not np.array_equal(one, other)
            assert one.std() == pytest.approx(law.std(), rel=0.2), weight.path
        else:
            assert np.array_equal(one, law), weight.path
    train(on_arrays(options, tmp_path / "twin", pretrained=False, seed=1))
    write_text_rows(TextRowsOptions(model=str(tmp_path / "twin"), output=str(tmp_path / "whole")))
    with pytest.warns(UserWarning, match="text rows"):
        short = vectors(str(tmp_path / "twin" / "preset"))
    assert np.allclose(vectors(str(tmp_path / "whole" / "preset")), short, atol=1e-6)
    random = OutputDir.open(written.output, kind="arrays")
    assert not settled(TrainOptions(arrays=random.path, output="unused"), random).pretrained


def test_arrays_of_a_tiny_backbone_serve_any_size_and_seed(tiny_data, options, tmp_path):
    tiny = dataclasses.replace(options, output=str(tmp_path / "arrays"), backbone="tiny")
    arrays = write(tiny)
    same, wider, other = (
        build(on_arrays(tiny, tmp_path, **changes), [arrays]).encoder
        for changes in ({}, {"hidden_dim": 64, "layers": 3}, {"seed": 7})
    )
    assert (wider.width, wider.backbone.num_layers) == (64, 3)
    stored = DualEncoder.from_preset(arrays.file("preset"), for_arrays=True)
    tables = [np.asarray(e.backbone.token_embedding.embeddings) for e in (stored, same, other)]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])
    train(on_arrays(tiny, tmp_path / "run", hidden_dim=64, seed=3))
    assert DualEncoder.from_preset(str(tmp_path / "run" / "preset")).width == 64


def test_what_the_arrays_settled_need_not_be_said_and_can_not_be_changed(arrays, options, tmp_path):
    given = {"evaluate_every": 2, "warmup_steps": 1, "bitext": 0.0, "steps": 4, "batch_size": 8}
    short = TrainOptions(arrays=arrays.path, output="unused", **given)
    assert settled(short, arrays) == on_arrays(options, Path("unused"), **given)
    with pytest.raises(ValueError, match="--pooling was settled when"):
        train(on_arrays(options, tmp_path / "run", pooling="last"))


BOTH = """
import dataclasses, json, sys
import numpy as np
from model import training_run
from model.array_data import ArrayPairs, BatchMaker
from model.train import TrainOptions, build, train
from pipelines.output_dir import OutputDir
options = TrainOptions(**json.loads(sys.argv[1]))
arrays = OutputDir.open(options.arrays, kind="arrays")
model = build(options, [arrays])
pairs = ArrayPairs.load(arrays, "train")
maker = BatchMaker(pairs, model.encoder.vocabulary, batch_size=12, seed=0)
batch = maker.batch(3)
vectors = model(batch)
loss = model.compute_loss(x=batch, y_pred=vectors)
np.savez(sys.argv[2], vectors=np.asarray(vectors), loss=np.asarray(loss))
train(options)

half = dataclasses.replace(options, output=options.output + "-half")
save = training_run.save_checkpoint
def interrupted(*arguments):
    save(*arguments)
    raise KeyboardInterrupt
training_run.save_checkpoint = interrupted
try:
    train(half)
except KeyboardInterrupt:
    training_run.save_checkpoint = save
stats = train(half).stats
print(json.dumps([stats["resumed_at_step"], "tensorflow" in sys.modules, model.jit_compile]))
"""


def test_jax_gives_the_numbers_of_tensorflow_and_trains_and_resumes_without_it(
    arrays, options, tmp_path, jax_python
):
    found = {}
    for backend, python in (("tensorflow", sys.executable), ("jax", jax_python)):
        given = vars(on_arrays(options, tmp_path / backend))
        command = [python, "-c", BOTH, json.dumps(given), str(tmp_path / f"{backend}.npz")]
        environment = {**os.environ, "KERAS_BACKEND": backend}
        printed = subprocess.run(command, env=environment, check=True, capture_output=True)
        found[backend] = np.load(tmp_path / f"{backend}.npz")
        resumed_at, has_tensorflow, is_compiled = json.loads(printed.stdout.splitlines()[-1])
        assert resumed_at == 4
        assert has_tensorflow is (backend == "tensorflow")
        # Else JAX runs it operation by operation.
        assert is_compiled is (backend == "jax")
    for name in ("vectors", "loss"):
        np.testing.assert_allclose(found["jax"][name], found["tensorflow"][name], atol=1e-4)
    losses = [
        json.loads((tmp_path / backend / "log.jsonl").read_text().splitlines()[-1])["loss"]
        for backend in ("tensorflow", "jax")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    with pytest.warns(UserWarning, match="text rows"):
        one, other, resumed = (
            vectors(str(tmp_path / run / "preset")) for run in ("tensorflow", "jax", "jax-half")
        )
    assert np.array_equal(other, resumed)
    assert ((one * other).sum(axis=1) > 0.99).all()
