"""One of the two collections that are mined: an index, prepared pairs, or a file of sentences.

demo/index        an index: its rows and their vectors, nothing is embedded again
demo/data         a folder of pipelines.prepare: the speech or the texts of its pairs
news.fr.txt       a text file, one sentence a line
news.fr.tsv       a text file, an id and a sentence a line, a tab between them
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from pipelines import storage
from pipelines.output_dir import OutputDir
from pipelines.pairs import KIND as PAIRS
from pipelines.pairs import from_example, shard_paths
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import LANGUAGES
from scann_index.bundle import KIND as INDEX
from scann_index.bundle import Bundle
from scann_index.row import Row, rows_of

SENTENCES = "sentences"
ENDINGS = (".txt", ".tsv")
LONGEST_SENTENCE = 10_000
"""Characters; a longer line is no sentence."""


@dataclass(frozen=True)
class Collection:
    """What one side of the mining reads.

    Args:
        path: an index, a folder of prepared pairs, or a text file.
        modality: `speech` or `text`; empty for all there is.
        languages: only rows in these; of a text file the one language it is in.
        splits: of prepared pairs, the splits to read.
    """

    path: str
    modality: str = ""
    languages: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("test",)

    @cached_property
    def kind(self) -> str:
        """`index`, `pairs` or `sentences`.

        Raises:
            FileNotFoundError: there is no such file or folder.
            ValueError: it is none of the three.
        """
        if self.path.endswith(ENDINGS):
            if not storage.exists(self.path):
                raise FileNotFoundError(f"{self.path}: no such file")
            return SENTENCES
        begun = storage.join(self.path, "begun.json")
        kind = storage.read_json(begun)["kind"] if storage.exists(begun) else ""
        if kind not in (INDEX, PAIRS):
            raise ValueError(
                f"{self.path} is no index, no folder of pipelines.prepare and no text file "
                f"({' or '.join(ENDINGS)})"
            )
        return str(kind)

    def check(self) -> None:
        """Finds out now what would fail later.

        Raises:
            OutputError: the folder is not complete, or damaged.
            ValueError: it has no such rows, or the language of a text file is missing.
        """
        if self.kind == INDEX:
            self._shards()
        elif self.kind == PAIRS:
            data = OutputDir.open(self.path, kind=PAIRS)
            missing = [split for split in self.splits if not shard_paths(data, split)]
            if missing:
                raise ValueError(f"{self.path} has no split {' or '.join(missing)}")
        elif self.modality == "speech":
            raise ValueError(f"{self.path} holds text, not speech")
        elif len(self.languages) != 1 or self.languages[0] not in LANGUAGES:
            raise ValueError(
                f"say in which one language {self.path} is, by its code: {', '.join(LANGUAGES)}"
            )

    @property
    def digest(self) -> str:
        """What identifies its content."""
        if self.kind == SENTENCES:
            return storage.sha256(storage.read_bytes(self.path))
        return OutputDir.open(self.path, kind=self.kind).digest

    def _shards(self) -> list[str]:
        """Of an index: the names of the shards that qualify."""
        shards = open_bundle(self.path).shards(
            modality=self.modality or None, language=list(self.languages) or None
        )
        if not shards:
            wanted = " ".join(filter(None, [self.modality, ",".join(self.languages)]))
            raise ValueError(f"{self.path} has no rows of {wanted}")
        return [shard.name for shard in shards]

    def sources(self) -> list[str]:
        """What there is to read, in parts that can be read apart."""
        if self.kind == INDEX:
            return self._shards()
        if self.kind == PAIRS:
            data = OutputDir.open(self.path, kind=PAIRS)
            return [path for split in self.splits for path in shard_paths(data, split)]
        return [self.path]

    def read(self, source: str) -> Iterator[Found | Reject]:
        """The rows in one of the `sources` that qualify, and what is wrong with the others."""
        if self.kind == INDEX:
            (shard,) = [s for s in open_bundle(self.path).shards() if s.name == source]
            for number, row in enumerate(shard.rows):
                yield Found(row, (source, number))
        elif self.kind == PAIRS:
            import tensorflow as tf

            for serialized in tf.data.TFRecordDataset([source]).as_numpy_iterator():
                for row in rows_of(from_example(serialized)):
                    if self.modality in ("", row.modality) and (
                        not self.languages or row.language in self.languages
                    ):
                        yield Found(row)
        else:
            for sentence in read_sentences(source, self.languages[0]):
                yield sentence if isinstance(sentence, Reject) else Found(sentence)


@lru_cache(maxsize=2)
def open_bundle(path: str) -> Bundle:
    """`Bundle.open`, which reads every file to verify its hash, once for each process."""
    return Bundle.open(path)


@dataclass(frozen=True, slots=True)
class Found:
    """A row read from a collection.

    Args:
        row: what it is.
        place: of a row of an index, the name of its shard and its number there: where its vector
            is. None if it is yet to be embedded.
        names: the ids of it and of all that were found to be the same.
        sentences: their sentence ids.
    """

    row: Row
    place: tuple[str, int] | None = None
    names: tuple[str, ...] = field(default=())
    sentences: tuple[str, ...] = field(default=())

    @property
    def key(self) -> str:
        """A hash that two rows share if they are the same to a miner.

        Texts that differ in case or spacing only are the same, whatever sentence they are said to
        render; speech is if the recording is.
        """
        row = self.row
        if row.modality == "text":
            content = " ".join(unicodedata.normalize("NFC", row.text).casefold().split())
        else:
            content = row.audio or row.id
        words = "\0".join((row.modality, row.language, content))
        return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def distinct(found: Iterable[Found]) -> list[Found]:
    """One of each `Found.key`, with the names of all, in an order that depends on nothing else."""
    groups: dict[str, list[Found]] = {}
    for one in found:
        groups.setdefault(one.key, []).append(one)
    kept = []
    for _, group in sorted(groups.items()):
        first = min(group, key=lambda one: (not one.row.text, one.row.id, one.row.sentence_id))
        names = tuple(sorted({one.row.id for one in group}))
        sentences = tuple(sorted({one.row.sentence_id for one in group} - {""}))
        kept.append(Found(first.row, first.place, names, sentences))
    return kept


def read_sentences(path: str, language: str) -> Iterator[Row | Reject]:
    """The lines of a text file as rows, and as rejects what can't be used.

    Args:
        path: ending in `.txt` (the id of a sentence is `file:line`) or in `.tsv` (id, tab,
            sentence); UTF-8.
        language: of all of them.
    """
    named = path.endswith(".tsv")
    file = path.rsplit("/", 1)[-1]
    seen: set[str] = set()
    lines = storage.read_bytes(path).removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines, 1):
        place = f"{file}:{number}"
        try:
            name, text = _sentence(line, named)
            name = name or place
            if name in seen:
                raise Rejected("duplicate-id", f"another line has the id {name!r}")
            seen.add(name)
        except Rejected as rejected:
            yield rejected.reject(place, path, "read")
        else:
            yield Row(name, "", language, "text", text)


def _sentence(line: bytes, named: bool) -> tuple[str, str]:
    try:
        text = unicodedata.normalize("NFC", line.decode("utf-8")).lstrip("\ufeff").rstrip("\r")
    except UnicodeDecodeError as error:
        raise Rejected("invalid-utf8", f"byte {error.start} of the line is no UTF-8") from None
    name = ""
    if named:
        name, tab, text = text.partition("\t")
        if not tab or not name.strip():
            raise Rejected("missing-column", "an id, a tab and a sentence expected")
    text = " ".join(text.split())
    if all(unicodedata.category(c)[0] in "CZ" for c in text):
        raise Rejected("empty-transcript", "no visible character in it")
    if len(text) > LONGEST_SENTENCE:
        detail = f"{len(text)} characters, the most is {LONGEST_SENTENCE}"
        raise Rejected("too-long", detail)
    return name.strip(), text
