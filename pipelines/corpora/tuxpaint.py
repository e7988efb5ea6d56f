"""Tux Paint's stamps: what is on 952 small pictures, said by volunteers, n-way parallel.

    stamps/animals/amphibians/frog.txt            A frog.                       (English)
                                                  bg.utf8=Жаба.                 (and 70 more)
    stamps/animals/amphibians/frog_desc.ogg       the English text, read aloud
    stamps/animals/amphibians/frog_desc_bg.ogg    the Bulgarian text, read aloud
    stamps/animals/amphibians/frog.ogg            a croak: no speech

Debian's package `tuxpaint-stamps-default`, unpacked. Several pictures show the same thing, and so
files of different names share a text, often even the very recording: a sentence is therefore told
by its English text. English texts that are spoken in the same words in some language ("a mushroom",
"a cep": "un hongo") are one sentence, so that nothing that is said in the test split is said in the
training split, in any language. Speakers are not told; most languages have one or two.

Sources: Tux Paint's `docs/en/EXTENDING.html`, "Stamps"; the package's own files. Licence: GPL-2.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipelines import storage
from pipelines.audio_source import read_file
from pipelines.corpora.language_code import language_code
from pipelines.corpora.manifest import sentence_key, transcript_of
from pipelines.corpora.table import decoded
from pipelines.pairs import Pair
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import SPLITS, Utterance

SEEN = ("es", "fr", "ru", "ro", "ca")
"""Languages that are trained on unless others are named; bg, be, el, da have speech enough to test
what was never heard."""
TEST_PERCENT, DEV_PERCENT = 20, 8
"""Of the sentences, about."""

_INSIDE = "usr/share/tuxpaint/stamps"
_DESCRIPTION = re.compile(r"(.+)_desc(?:_([A-Za-z_@]+))?\.(?:ogg|wav)")
_TEXT = re.compile(r"([A-Za-z_@]+)\.utf8=(.*)", re.DOTALL)
_MOST_BYTES = 2**20


class _Recording(NamedTuple):
    """A spoken description: its path, and the stamp's tag of its language (`pt_BR`)."""

    path: str
    stem: str
    tag: str
    size: int

    @property
    def id(self) -> str:
        return f"tuxpaint-{self.stem.replace('/', '-')}-{self.tag}"


@dataclass(frozen=True)
class _Stamps:
    """The folder, read.

    Args:
        texts: by stamp and tag, what the stamp says: `texts["food/cep"]["es"]`.
        recordings: those that have a text, each once.
        sentences: by stamp, the id of its sentence.
        repeated: how many recordings were left out as copies.
        rejects: what can't be used, each with its language, empty where that is unknown.
    """

    texts: dict[str, dict[str, str]]
    recordings: list[_Recording]
    sentences: dict[str, str]
    repeated: int
    rejects: list[tuple[Reject, str]]


class TuxPaintCorpus:
    """The stamps as utterances, and as translation pairs.

    All recordings of all languages and splits; which of them are trained on is told by
    `train_languages`. Those of dev and test carry their English text as a translation. Training
    sentences give `bitext` pairs of each recorded language with English.

    Args:
        path: the unpacked package, or the folder `stamps` in it; local or a URL.
        languages: only these; none stands for all that have speech.
        splits: which of train, dev and test; none stands for all.

    Attributes:
        train_languages: whose training recordings and texts are used unless others are named.

    Raises:
        ValueError: there are no stamps, or no speech in one of the languages.
    """

    name = "tuxpaint"
    train_languages = SEEN

    def __init__(
        self, path: str, *, languages: Sequence[str] = (), splits: Sequence[str] = ()
    ) -> None:
        self.path = path.rstrip("/")
        self.languages = tuple(languages)
        self.splits = tuple(splits) or SPLITS
        # No question for the folder itself: in a bucket there is none.
        inside = storage.list_tree(storage.join(self.path, _INSIDE))
        self._root = storage.join(self.path, _INSIDE) if inside else self.path
        names = [name for name, _ in inside or storage.list_tree(self._root)]
        spoken = {m[2] or "en" for name in names if (m := _DESCRIPTION.fullmatch(name))}
        if not spoken:
            raise ValueError(
                f"{path} holds no *_desc*.ogg: is it tuxpaint-stamps-default unpacked?"
            )
        if missing := sorted(set(languages) - {code for tag in spoken if (code := _code(tag))}):
            raise ValueError(f"Tux Paint has no speech in {', '.join(missing)}")

    def rows(self) -> Iterator[Utterance | Pair | Reject]:
        """Every recording, then every translation pair, then the rejects.

        Sentences come in an order of their own, all recordings of one together, so that the first
        few hundred rows already hold every language and every split.
        """
        stamps = _read(self._root)
        recordings = sorted(
            stamps.recordings, key=lambda r: (_number("order", stamps.sentences[r.stem]), r.path)
        )
        for recording in recordings:
            yield from self._utterance(stamps, recording)
        yield from self._bitext(stamps, recordings)
        yield from (reject for reject, code in stamps.rejects if self._wants(code))

    def _wants(self, language: str) -> bool:
        """Whether it is one of those asked for; what has none concerns all."""
        return not self.languages or not language or language in self.languages

    def texts(self) -> Iterator[tuple[str, str, str, str]]:
        """Every text of every stamp, spoken or not: sentence id, split, language, text.

        A text that several stamps have comes once.
        """
        stamps = _read(self._root)
        seen: set[tuple[str, str, str]] = set()
        for stem in sorted(stamps.texts):
            sentence = stamps.sentences[stem]
            for language, text in _by_language(stamps.texts[stem]).items():
                if (key := (sentence, language, sentence_key(text))) not in seen:
                    seen.add(key)
                    yield sentence, split_of(sentence), language, text

    def card(self) -> dict[str, Any]:
        """What was read."""
        stamps = _read(self._root)
        splits = Counter(split_of(sentence) for sentence in set(stamps.sentences.values()))
        return {
            "name": self.name,
            "path": self.path,
            "stamps": len(stamps.texts),
            "sentences": {split: splits[split] for split in SPLITS},
            "recordings": len(stamps.recordings),
            "copies_left_out": stamps.repeated,
            "train_languages": list(self.train_languages),
        }

    def _utterance(self, stamps: _Stamps, recording: _Recording) -> Iterator[Utterance]:
        sentence = stamps.sentences[recording.stem]
        language, split = language_code(recording.tag), split_of(sentence)
        if split not in self.splits or not self._wants(language):
            return
        texts = stamps.texts[recording.stem]
        # In training they would teach translation, which is to be found out without.
        translated = split != "train" and language != "en"
        yield Utterance(
            id=recording.id,
            audio=storage.join(self._root, recording.path),
            language=language,
            transcript=texts[recording.tag],
            sentence_id=sentence,
            split=split,
            translations=(("en", texts["en"]),) if translated else (),
        )

    def _bitext(self, stamps: _Stamps, recordings: Iterable[_Recording]) -> Iterator[Pair]:
        if "train" not in self.splits:
            return
        spoken = self.languages or {language_code(r.tag) for r in recordings}
        seen: set[tuple[str, str, str]] = set()
        for stem in dict.fromkeys(recording.stem for recording in recordings):
            sentence, texts = stamps.sentences[stem], _by_language(stamps.texts[stem])
            for language in sorted(set(spoken) & set(texts) - {"en"}):
                key = language, texts[language], texts["en"]
                if split_of(sentence) == "train" and key not in seen:
                    seen.add(key)
                    yield Pair(
                        id=f"tuxpaint-{stem.replace('/', '-')}-{language}>en",
                        task="bitext",
                        source_language=language,
                        source_text=texts[language],
                        target_language="en",
                        target_text=texts["en"],
                        sentence_id=sentence,
                        split="train",
                        provenance=self.name,
                    )


def split_of(sentence_id: str) -> str:
    """The split of a sentence, whatever else there is."""
    number = _number("split", sentence_id) % 100
    if number < TEST_PERCENT:
        return "test"
    return "dev" if number < TEST_PERCENT + DEV_PERCENT else "train"


@functools.lru_cache(maxsize=1)
def _read(root: str) -> _Stamps:
    # A run asks several times; 8,000 small files take seconds.
    files = dict(storage.list_tree(root))
    texts: dict[str, dict[str, str]] = {}
    rejects: list[tuple[Reject, str]] = []
    for name in sorted(name for name in files if name.endswith(".txt")):
        try:
            texts[name[:-4]] = _texts(storage.join(root, name))
        except Rejected as rejected:
            path = storage.join(root, name)
            rejects.append((rejected.reject(name, path, "read"), ""))
    recordings: list[_Recording] = []
    for name in sorted(files):
        if match := _DESCRIPTION.fullmatch(name):
            recording = _Recording(name, match[1], match[2] or "en", files[name])
            try:
                _check(recording, texts)
                recordings.append(recording)
            except Rejected as rejected:
                path = storage.join(root, name)
                reject = rejected.reject(recording.id, path, "read", place=name)
                rejects.append((reject, _code(recording.tag)))
    sentences = _sentences(texts, recordings)
    kept = _without_copies(root, recordings, sentences)
    return _Stamps(texts, kept, sentences, len(recordings) - len(kept), rejects)


def _texts(path: str) -> dict[str, str]:
    """The texts of one stamp by tag; English, its first line, is `en`."""
    lines = decoded(read_file(path, _MOST_BYTES)).splitlines()
    texts = {"en": transcript_of({"transcript": lines[0] if lines else ""})}
    for line in lines[1:]:
        match = _TEXT.fullmatch(line)
        try:
            if match:
                texts.setdefault(match[1], transcript_of({"transcript": match[2]}))
        except Rejected:
            # No text in that language, as if the line were not there.
            continue
    return texts


def _check(recording: _Recording, texts: dict[str, dict[str, str]]) -> None:
    language_code(recording.tag)
    if recording.stem not in texts:
        raise Rejected("missing-value", "there is no stamp of that name, and so no text")
    if recording.tag not in texts[recording.stem]:
        raise Rejected("missing-value", f"the stamp has no text in {recording.tag!r}")


def _sentences(texts: dict[str, dict[str, str]], recordings: list[_Recording]) -> dict[str, str]:
    """The sentence id of each stamp: the same for two that are spoken in the same words."""
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    first: dict[tuple[str, str], str] = {}
    for r in recordings:
        english = sentence_key(texts[r.stem]["en"])
        other = first.setdefault((r.tag, sentence_key(texts[r.stem][r.tag])), english)
        low, high = sorted((root(english), root(other)))
        parents[high] = low
    return {stem: f"tuxpaint-{root(sentence_key(t['en']))}" for stem, t in texts.items()}


def _without_copies(
    root: str, recordings: list[_Recording], sentences: dict[str, str]
) -> list[_Recording]:
    """The recordings of which no equal file was before, in the same language and sentence."""
    alike: dict[tuple[str, str, int], list[_Recording]] = defaultdict(list)
    for r in recordings:
        alike[sentences[r.stem], r.tag, r.size].append(r)
    kept = []
    for group in alike.values():
        contents: set[str] = set()
        for r in group:
            # Files of different sizes need not be opened.
            content = ""
            if len(group) > 1:
                content = storage.sha256(storage.read_bytes(storage.join(root, r.path)))
            if content not in contents:
                contents.add(content)
                kept.append(r)
    return kept


def _by_language(texts: dict[str, str]) -> dict[str, str]:
    """By our codes; of `pt` and `pt_BR` the first, of `ca@valencia` none."""
    chosen: dict[str, str] = {}
    for tag in sorted(texts, key=lambda tag: (len(tag), tag)):
        if "@" not in tag and (code := _code(tag)):
            chosen.setdefault(code, texts[tag])
    return chosen


def _code(tag: str) -> str:
    try:
        return language_code(tag)
    except Rejected:
        return ""


def _number(purpose: str, text: str) -> int:
    digest = hashlib.sha256(f"babelear {purpose} {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
