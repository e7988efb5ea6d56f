"""Unicode CLDR's names of emoji in some ninety languages, each paired with the English one.

    annotations/fr/annotations.json           {"annotations": {"annotations":
                                                  {"🦎": {"default": […], "tts": ["lézard"]}, …}}}
    annotationsDerived/fr/annotations.json    the same under "annotationsDerived": flags, families

A dictionary of things, animals and food where no parallel text is at hand. Published as the npm
packages `cldr-annotations-full` and `cldr-annotations-derived-full`. Source: Unicode Technical
Standard 35, part 2, "Annotations". Licence: Unicode-3.0.

The demo corpus is made of the same names: these pairs hold its test split, unless `--held-out`
names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import storage
from pipelines.audio_source import read_file
from pipelines.corpora.bitext import bitext_pair
from pipelines.pairs import Pair
from pipelines.rejects import Reject, Rejected
from pipelines.utterance import LANGUAGES

_FILE = re.compile(r"(?:.*/)?(annotations(?:Derived)?)/([a-z]{2,3})/annotations\.json")
_CODES = {"no": "nb"}
"""CLDR keeps Bokmål, which has a name of its own, under Norwegian."""
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
_MOST_BYTES = 2**23


class CldrCorpus:
    """Names of emoji as training pairs, of one language after the other.

    Names that are the same in both languages, and those of an emoji in one of five skin colours,
    teach nothing and are left out. A region's names (`pt-PT`) are too.

    Args:
        path: the folder of one or both packages, unpacked; local or a URL.
        languages: only these, keys of `LANGUAGES`; none stands for all that are there.

    Raises:
        ValueError: there are no English names, or none in one of the languages.
    """

    name = "cldr"

    def __init__(self, path: str, *, languages: Sequence[str] = ()) -> None:
        self.path = path
        self._files: dict[str, list[tuple[str, str]]] = {}
        for name, _ in storage.list_tree(path):
            if match := _FILE.fullmatch(name):
                language = _CODES.get(match[2], match[2])
                if language in LANGUAGES:
                    files = self._files.setdefault(language, [])
                    files.append((storage.join(path, name), match[1]))
        there = sorted(set(self._files) - {"en"})
        self.languages = tuple(languages) or tuple(there)
        if "en" not in self._files or not there:
            raise ValueError(
                f"{path} lacks annotations/en/annotations.json or any other language: unpack the "
                "npm packages cldr-annotations-full and cldr-annotations-derived-full there"
            )
        if missing := sorted(set(self.languages) - set(there)):
            raise ValueError(f"{path} has no names in {', '.join(missing)}")

    def rows(self) -> Iterator[Pair | Reject]:
        """Every name with its English one, by language, in the order of the files."""
        english, rejects = self._names("en")
        yield from rejects
        for language in self.languages:
            names, rejects = self._names(language)
            yield from rejects
            for emoji, name in names.items():
                if emoji in english and name.casefold() != english[emoji].casefold():
                    yield self._pair(language, emoji, name, english[emoji])

    def card(self) -> dict[str, Any]:
        """What was read."""
        return {"name": self.name, "path": self.path, "languages": list(self.languages)}

    def _pair(self, language: str, emoji: str, name: str, english: str) -> Pair | Reject:
        id = f"cldr-{language}-{'-'.join(f'{ord(c):x}' for c in emoji)}"
        try:
            return bitext_pair(id, (language, name), ("en", english), provenance=self.name)
        except Rejected as rejected:
            return rejected.reject(id, "", "read")

    def _names(self, language: str) -> tuple[dict[str, str], list[Reject]]:
        """By emoji its name in a language; and why a file can't be read."""
        names: dict[str, str] = {}
        rejects = []
        for file, key in self._files[language]:
            try:
                names |= _read(file, key)
            except Rejected as rejected:
                rejects.append(rejected.reject(f"cldr-{language}-{key}", file, "read"))
        return names, rejects


def _read(file: str, key: str) -> dict[str, str]:
    try:
        # A language that inherits all names of another has none in its file.
        entries = json.loads(read_file(file, _MOST_BYTES))[key].get("annotations", {})
        named = ((emoji, entry.get("tts")) for emoji, entry in entries.items())
        return {e: str(name[0]) for e, name in named if name and not _SKIN.search(e)}
    except Rejected:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Rejected("invalid-row", f"no annotations of CLDR: {error!r}") from error
