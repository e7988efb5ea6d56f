"""CoVoST 2: Common Voice clips, their transcripts and translations (arXiv 2007.10310).

    covost_v2.fr_en.tsv             path, translation, split; or covost_v2.fr_en.tsv.tar.gz
    fr.tar.gz                       a release of Common Voice: clips/*.mp3, validated.tsv, …
    fr/validated.tsv, fr/clips/     the same, unpacked; or validated.tsv alone beside the archive

21 languages into English (`fr` or `fr-en`) and English into 15 (`en-de`). As the official
`get_covost_splits.py` has it: a clip belongs to the corpus if its path is in both tables; `train`
and `train_covost` are the training split, `dev` and `test` the others, and no other rows count.
"""

from __future__ import annotations

import json
import posixpath
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import storage
from pipelines.corpora.common_voice import Release, table_rows, without_quotes
from pipelines.corpora.fleurs import plain_file_name
from pipelines.corpora.language_code import language_code
from pipelines.corpora.manifest import sentence_key, transcript_of
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import Utterance, normalized_gender

# fmt: off
INTO_ENGLISH = (
    "fr", "de", "es", "ca", "it", "ru", "zh-CN", "pt", "fa", "et", "mn", "nl", "tr", "ar", "sv-SE",
    "lv", "sl", "ta", "ja", "id", "cy",
)
FROM_ENGLISH = (
    "de", "tr", "fa", "sv-SE", "mn", "zh-CN", "cy", "ca", "sl", "et", "id", "ar", "ta", "lv", "ja",
)
# fmt: on
SPLIT_OF = {"train": "train", "train_covost": "train", "dev": "dev", "test": "test"}

_TABLE = re.compile(r"covost_v2\.([A-Za-z-]+)_([A-Za-z-]+)\.tsv(?:\.tar\.gz|\.gz)?$")


class CovostCorpus:
    """CoVoST 2 as utterances that carry their translations; speech stays in its archives.

    Args:
        path: the folder that holds all of it; local or a URL.
        pairs: `fr` or `fr-en`, `en-de`, with Common Voice's codes or ours (`zh-CN`, `zh`); none
            stands for whatever is there.
        splits: which of train, dev and test; none stands for all.

    Raises:
        ValueError: CoVoST has no such pair, or what was asked for is not there.
    """

    name = "covost"

    def __init__(self, path: str, *, pairs: Sequence[str] = (), splits: Sequence[str] = ()) -> None:
        self.path = path.rstrip("/")
        self._splits = frozenset(splits or ("train", "dev", "test"))
        tables = {}
        for table in storage.list_files(self.path, "covost_v2.*"):
            if (match := _TABLE.search(table)) and is_pair(match[1], match[2]):
                tables[match[1], match[2]] = table
        wanted = [_pair(name) for name in pairs] or sorted(tables)
        if absent := [f"covost_v2.{s}_{t}.tsv" for s, t in wanted if (s, t) not in tables]:
            raise ValueError(f"{path} lacks {', '.join(absent)}")
        if not wanted:
            raise ValueError(f"{path} holds no covost_v2.*.tsv")
        self._tables: dict[str, dict[str, str]] = {}
        for source, target in wanted:
            self._tables.setdefault(source, {})[target] = tables[source, target]
        self._releases = {source: Release(self.path, source) for source in self._tables}
        self.in_archives = any(r.archive for r in self._releases.values())

    def rows(self) -> Iterator[Utterance | Reject]:
        """The clips of each language, in the order of `validated.tsv`, then those not in it."""
        for source, tables in self._tables.items():
            # On disk: a language has a million rows, which memory shouldn't grow with.
            with (
                tempfile.NamedTemporaryFile(prefix="covost-") as file,
                _Translations(file.name) as translations,
            ):
                for target, table in tables.items():
                    yield from translations.read(table, language_code(target), self._splits)
                yield from self._utterances(source, translations)
                yield from self._not_validated(source, translations)

    def card(self) -> dict[str, Any]:
        """What was read."""
        return {
            "name": self.name,
            "path": self.path,
            "pairs": [f"{s}-{t}" for s, targets in self._tables.items() for t in targets],
            "clips": {s: r.archive or r.clips for s, r in self._releases.items()},
        }

    def _utterances(self, source: str, texts: _Translations) -> Iterator[Utterance | Reject]:
        release = self._releases[source]
        for place, row in table_rows(release.table, release.member, ("path", "sentence")):
            if isinstance(row, Rejected):
                # Of rows that can't be read nobody knows whether they belong to the corpus.
                yield row.reject(f"covost-{place}", release.table, "read")
                continue
            path = row["path"].strip()
            if (found := texts.take(path)) is None:
                continue
            try:
                file_name = plain_file_name(path)
                transcript = transcript_of({"transcript": without_quotes(row["sentence"])})
            except Rejected as rejected:
                yield rejected.reject(f"covost-{place}", path, "read", place=place)
                continue
            yield Utterance(
                id=f"covost-{language_code(source)}-{posixpath.splitext(file_name)[0]}",
                audio=release.reference(file_name),
                language=language_code(source),
                transcript=transcript,
                sentence_id=sentence_key(transcript),
                split=found[0],
                # 128 hexadecimal digits; a few tell speakers apart as well.
                speaker=row.get("client_id", "")[:16],
                gender=normalized_gender(row.get("gender", "")),
                translations=found[1],
            )

    def _not_validated(self, source: str, texts: _Translations) -> Iterator[Reject]:
        release = self._releases[source]
        for path in texts.left():
            yield Reject(
                id=f"covost-{language_code(source)}-{posixpath.splitext(path)[0]}",
                uri=release.reference(path),
                stage="read",
                reason="not-validated",
                detail=f"CoVoST has it, {release.table} does not: is it another release?",
            )


class _Translations:
    """The splits and translations of clips by their path, in a database on disk."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
            "CREATE TABLE clips (path TEXT UNIQUE, split TEXT, texts TEXT, taken INT)"
        )

    def __enter__(self) -> _Translations:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def read(self, table: str, language: str, splits: frozenset[str]) -> Iterator[Reject]:
        """Stores the rows of a table of translations; yields the bad ones."""
        member = "*.tsv" if table.endswith(".tar.gz") else ""
        needed = ("path", "translation", "split")
        for place, row in table_rows(table, member, needed):
            if isinstance(row, Rejected):
                yield row.reject(f"covost-{place}", table, "read")
                continue
            split = SPLIT_OF.get(row["split"].strip())
            if split not in splits:
                continue
            path, text = row["path"].strip(), " ".join(row["translation"].split())
            found = self._one("SELECT texts FROM clips WHERE path = ?", path)
            texts = json.loads(found[0]) if found else {}
            if text:
                texts.setdefault(language, text)
            # The first table decides the split; all agree in the published ones.
            self._database.execute(
                "INSERT INTO clips VALUES (?, ?, ?, 0)"
                " ON CONFLICT (path) DO UPDATE SET texts = excluded.texts",
                (path, split, json.dumps(texts, ensure_ascii=False)),
            )

    def take(self, path: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
        """A clip's split and its translations; None if it is not in the corpus."""
        found = self._one("SELECT split, texts FROM clips WHERE path = ?", path)
        if not found:
            return None
        self._database.execute("UPDATE clips SET taken = 1 WHERE path = ?", (path,))
        return found[0], tuple(sorted(json.loads(found[1]).items()))

    def left(self) -> Iterator[str]:
        """The paths that were never taken."""
        query = "SELECT path FROM clips WHERE NOT taken ORDER BY rowid"
        yield from (path for (path,) in self._database.execute(query))

    def _one(self, query: str, path: str) -> Any:
        return self._database.execute(query, (path,)).fetchone()


def is_pair(source: str, target: str) -> bool:
    """Whether CoVoST 2 translates from one language to the other."""
    return (target == "en" and source in INTO_ENGLISH) or (
        source == "en" and target in FROM_ENGLISH
    )


def _pair(name: str) -> tuple[str, str]:
    """`fr`, `fr-en`, `zh-CN-en`, `en-zh` as Common Voice's codes."""
    own = {language_code(code): code for code in (*INTO_ENGLISH, "en")}
    codes = {**own, **{code: code for code in own.values()}}
    for source, target in [(name, "en"), *((name[:i], name[i + 1 :]) for i in range(len(name)))]:
        if is_pair(codes.get(source, ""), codes.get(target, "")):
            return codes[source], codes[target]
    raise ValueError(
        f"CoVoST 2 has no {name!r}: give {', '.join(INTO_ENGLISH)} (into English), or en- and one "
        f"of {', '.join(FROM_ENGLISH)}"
    )
