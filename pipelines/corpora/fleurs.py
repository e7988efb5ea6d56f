"""FLEURS: read speech in 102 languages, n-way parallel (arXiv 2205.12446), as the hub has it.

    data/fr_fr/train.tsv    data/fr_fr/audio/train.tar.gz
    data/fr_fr/dev.tsv      data/fr_fr/audio/dev.tar.gz
    data/fr_fr/test.tsv     data/fr_fr/audio/test.tar.gz

A TSV has no header and no quoting: sentence id, file name, transcript as written, transcript in
lower case without punctuation, its characters, number of samples at 16 kHz, gender. An archive
holds WAV files in a folder named after the split. The id is FLoRes-101's, so that recordings of one
sentence share it, in one language and across all 102. Source: the loading script of `google/fleurs`
on the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import storage
from pipelines.audio_reference import AudioReference
from pipelines.corpora import fleurs_languages
from pipelines.corpora.manifest import transcript_of
from pipelines.corpora.table import decoded
from pipelines.corpora.text_file import lines
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import SPLITS, Utterance, normalized_gender

SAMPLE_RATE = 16_000
COLUMNS = (
    "id",
    "file_name",
    "raw_transcription",
    "transcription",
    "chars",
    "num_samples",
    "gender",
)


class FleursCorpus:
    """FLEURS as utterances; speech stays in its archives.

    Args:
        path: the folder that holds `data`, or `data` itself; local or a URL.
        languages: configurations (`fr_fr`), languages (`fr`) or groups (`western_european_we`);
            none stands for whatever is there.
        splits: which of train, dev and test; none stands for whatever is there.

    Raises:
        ValueError: no such language, or what was asked for is not there.
    """

    name = "fleurs"
    in_archives = True

    def __init__(
        self, path: str, *, languages: Sequence[str] = (), splits: Sequence[str] = ()
    ) -> None:
        chosen = fleurs_languages.choose(tuple(languages))
        wanted = [(config, split) for config in chosen for split in splits or SPLITS]
        self.root = ""
        for root in (storage.join(path, "data"), path.rstrip("/")):
            self._tables = [(c, s) for c, s in wanted if storage.exists(_table(root, c, s))]
            if self._tables:
                self.root = root
                break
        absent = [f"{c}/{s}.tsv" for c, s in wanted if (c, s) not in self._tables]
        # What was named has to be there; of all there is, a part will do.
        named = languages and splits
        if not self._tables or (named and absent):
            raise ValueError(f"{path} lacks {', '.join(absent[:5])}: is it google/fleurs' folder?")

    def rows(self) -> Iterator[Utterance | Reject]:
        """Every recording, language by language, in the order of the TSVs; the bad as rejects."""
        for config, split in self._tables:
            yield from self._rows(config, split)

    def card(self) -> dict[str, Any]:
        """What was read, and the groups of the languages."""
        configs = dict.fromkeys(config for config, _ in self._tables)
        return {
            "name": self.name,
            "path": self.root,
            "tables": [f"{config}/{split}.tsv" for config, split in self._tables],
            "groups": {
                fleurs_languages.LANGUAGE_OF[c]: fleurs_languages.CONFIGS[c] for c in configs
            },
        }

    def _rows(self, config: str, split: str) -> Iterator[Utterance | Reject]:
        table = _table(self.root, config, split)
        place = f"{config}/{split}.tsv"
        try:
            for number, raw in lines(table):
                if raw.strip():
                    yield self._row(config, split, f"{place}:{number}", raw)
        except Rejected as rejected:
            yield rejected.reject(place, table, "read")

    def _row(self, config: str, split: str, place: str, raw: bytes) -> Utterance | Reject:
        archive = storage.join(self.root, config, "audio", f"{split}.tar.gz")
        try:
            fields = decoded(raw).split("\t")
            if len(fields) != len(COLUMNS):
                reason = "missing-column" if len(fields) < len(COLUMNS) else "invalid-row"
                raise Rejected(reason, f"{len(fields)} fields, FLEURS has {len(COLUMNS)}")
            row = dict(zip(COLUMNS, fields, strict=True))
            file_name = plain_file_name(row["file_name"])
            return Utterance(
                id=f"fleurs-{config}-{split}-{file_name.removesuffix('.wav')}",
                audio=str(AudioReference(archive, file_name)),
                language=fleurs_languages.LANGUAGE_OF[config],
                transcript=transcript_of(
                    {"transcript": row["raw_transcription"].strip() or row["transcription"]}
                ),
                sentence_id=f"fleurs-{_whole_number(row, 'id')}",
                split=split,
                seconds=_whole_number(row, "num_samples") / SAMPLE_RATE or None,
                gender=normalized_gender(row["gender"]),
            )
        except Rejected as rejected:
            return rejected.reject(f"fleurs-{place}", archive, "read", place=place)


def plain_file_name(name: str) -> str:
    """The name of a file as a table gives it, if it is one and no path.

    Raises:
        Rejected: `missing-value`, `unsafe-path`.
    """
    name = name.strip()
    if not name:
        raise Rejected("missing-value", "no file name")
    if "/" in name or "\\" in name or name in (".", ".."):
        raise Rejected("unsafe-path", f"{name[:200]!r} is a path, not the name of a file")
    return name


def _table(root: str, config: str, split: str) -> str:
    return storage.join(root, config, f"{split}.tsv")


def _whole_number(row: dict[str, str], column: str) -> int:
    text = row[column].strip()
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Rejected("invalid-row", f"{column!r} is {text[:40]!r}, not a whole number")
    return int(text)
