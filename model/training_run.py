"""What happens around the training steps: progress, log, dev recall, checkpoints, resume."""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model.dual_encoder import DualEncoder
from model.metrics import ranks, recall_at
from pipelines import quiet, storage  # noqa: F401  (quiet before TensorFlow)
from pipelines.output_dir import OutputDir
from pipelines.pairs import Pair
from pipelines.progress import progress_bar

import keras  # isort: skip

LATEST = "latest.json"


def restore(model: Any, out: OutputDir) -> int:
    """Loads the last checkpoint, weights and optimizer; returns its step, 0 without one."""
    latest = out.file("checkpoint", LATEST)
    if not storage.exists(latest):
        return 0
    record = storage.read_json(latest)
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, "state.weights.h5")
        local.write_bytes(storage.read_bytes(out.file("checkpoint", record["file"])))
        model.load_weights(str(local))
    step: int = record["step"]
    return step


def save_checkpoint(model: Any, out: OutputDir, step: int) -> None:
    """Writes the whole training state, points `latest.json` at it, drops the older one."""
    name = f"step-{step:07d}.weights.h5"
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, "state.weights.h5")
        model.save_weights(str(local))
        storage.write_bytes(out.file("checkpoint", name), local.read_bytes())
    storage.write_json(out.file("checkpoint", LATEST), {"step": step, "file": name})
    for path in storage.list_files(out.file("checkpoint"), "step-*"):
        if not path.endswith(name):
            storage.remove(path)


def dev_recall(encoder: DualEncoder, pairs: list[Pair]) -> dict[str, float]:
    """Speech→text recall@1 by language, each over the pool of its own dev texts."""
    by_language: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_language[pair.source_language].append(pair)
    recalls = {}
    for language, own in sorted(by_language.items()):
        names = [language] * len(own)
        speech = encoder.encode_speech([p.source_tokens for p in own], names)
        text = encoder.encode_text([p.target_text for p in own], names)
        sentences = [p.sentence_id for p in own]
        scores = encoder.similarity(speech, text)
        recalls[language] = recall_at(ranks(scores, sentences, sentences), 1)
    return recalls


class RunCallback(keras.callbacks.Callback):
    """Keeps a run's directory up to date, and the person watching it informed.

    Args:
        out: the run's directory.
        dev_recall: recall@1 of an encoder by language, on the dev split.
        every: steps between evaluations and checkpoints; one epoch of `fit`.
        steps: how many steps in all.
        first_step: where training goes on.
    """

    def __init__(
        self,
        out: OutputDir,
        dev_recall: Callable[[DualEncoder], dict[str, float]],
        *,
        every: int,
        steps: int,
        first_step: int,
    ) -> None:
        super().__init__()
        self.out = out
        self.every = every
        self.steps = steps
        self.step = first_step
        self.dev_recall = dev_recall
        self.log = _log_until(out, first_step)
        self.started = time.time() - (self.log[-1]["seconds"] if self.log else 0.0)

    def __enter__(self) -> RunCallback:
        from rich.progress import TextColumn

        self.bar = progress_bar(TextColumn("{task.fields[note]}"))
        self.bar.start()
        self.task = self.bar.add_task("train", total=self.steps, completed=self.step, note="")
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar."""
        self.step += 1
        self.bar.update(self.task, completed=self.step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluates, logs and saves."""
        recalls = self.dev_recall(self.model.encoder)
        entry = {
            "step": self.step,
            "loss": float((logs or {})["loss"]),
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": time.time() - self.started,
            "dev_recall_at_1": recalls,
        }
        self.log.append(entry)
        _write_log(self.out, self.log)
        _write_tensorboard(self.out, entry)
        save_checkpoint(self.model, self.out, self.step)
        trained = self.model.encoder.vocabulary.trained_languages
        self.bar.update(self.task, note=_note(entry, trained))


def _note(entry: dict[str, Any], trained: tuple[str, ...]) -> str:
    recalls = entry["dev_recall_at_1"]
    seen = [r for language, r in recalls.items() if language in trained]
    unseen = [r for language, r in recalls.items() if language not in trained]
    note = f"loss {entry['loss']:.3f}"
    for name, values in (("seen", seen), ("unseen", unseen)):
        note += f", dev R@1 {name} {np.mean(values):.2f}" if values else ""
    return note


def _log_until(out: OutputDir, step: int) -> list[dict[str, Any]]:
    """The log up to a checkpoint: what came after it will be written again."""
    path = out.file("log.jsonl")
    if not storage.exists(path):
        return []
    entries = [json.loads(line) for line in storage.read_bytes(path).splitlines()]
    return [entry for entry in entries if entry["step"] <= step]


def _write_log(out: OutputDir, log: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(entry) + "\n" for entry in log)
    storage.write_bytes(out.file("log.jsonl"), lines.encode())


def _write_tensorboard(out: OutputDir, entry: dict[str, Any]) -> None:
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    writer = tf.summary.create_file_writer(out.file("tensorboard"))
    with writer.as_default(step=entry["step"]):
        tf.summary.scalar("loss", entry["loss"])
        tf.summary.scalar("learning_rate", entry["learning_rate"])
        for language, recall in entry["dev_recall_at_1"].items():
            tf.summary.scalar(f"dev_recall_at_1/{language}", recall)
    writer.close()
