"""WikiMatrix: sentence pairs mined from Wikipedia (arXiv 1907.05791).

    WikiMatrix.en-fr.tsv.gz    margin score, sentence in the first language, in the second

No header, no quoting, the best pairs first, in the published files. Source: the README and
`extract.py` of LASER's `tasks/WikiMatrix`, which recommends a score of at least 1.04. The paper of
this project (section 5.2) adds these pairs to the training data.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines import storage
from pipelines.corpora.bitext import bitext_pair
from pipelines.corpora.language_code import language_code
from pipelines.corpora.table import decoded
from pipelines.corpora.text_file import lines
from pipelines.pairs import Pair
from pipelines.rejects import Reject, Rejected

_NAME = re.compile(r"WikiMatrix\.([A-Za-z_]+)-([A-Za-z_]+)\.tsv(\.gz)?$")


class WikiMatrixCorpus:
    """Files of WikiMatrix as training pairs.

    Args:
        path: a file, or the folder of several; local or a URL.
        pairs: which languages, such as `en-fr`, in either order; none stands for whatever is there.
        min_score: pairs below are left out; they are no rejects and no rows.

    Raises:
        ValueError: what was asked for is not there.
    """

    name = "wikimatrix"

    def __init__(self, path: str, *, pairs: Sequence[str] = (), min_score: float = 1.04) -> None:
        self.min_score = min_score
        found = [path] if _NAME.search(path) else storage.list_files(path, "WikiMatrix.*")
        wanted = {frozenset(pair.split("-")) for pair in pairs}
        self.files = [
            file
            for file in found
            if (match := _NAME.search(file))
            and (not wanted or frozenset((match[1], match[2])) in wanted)
        ]
        if not self.files or len(self.files) < len(wanted):
            raise ValueError(
                f"{path} lacks WikiMatrix.xx-yy.tsv.gz{' for ' if pairs else ''}{', '.join(pairs)}"
            )

    def rows(self) -> Iterator[Pair | Reject]:
        """Every pair that scores enough, file by file, in order; the bad ones as rejects."""
        for file in self.files:
            place = posixpath.basename(file).removesuffix(".gz").removesuffix(".tsv")
            try:
                for number, raw in lines(file):
                    row = self._row(file, f"{place}:{number}", raw)
                    if row is not None:
                        yield row
            except Rejected as rejected:
                yield rejected.reject(place, file, "read")

    def card(self) -> dict[str, Any]:
        """What was read."""
        return {"name": self.name, "files": self.files, "min_score": self.min_score}

    def _row(self, file: str, place: str, raw: bytes) -> Pair | Reject | None:
        match = _NAME.search(file)
        assert match is not None
        try:
            # A fourth field would be a stray tab in the text.
            fields = decoded(raw).split("\t", 2)
            if len(fields) < 3:
                raise Rejected("missing-column", f"{len(fields)} fields, WikiMatrix has 3")
            if _score(fields[0]) < self.min_score:
                return None
            one, other = language_code(match[1]), language_code(match[2])
            texts = (one, fields[1]), (other, fields[2])
            return bitext_pair(place, *texts, provenance=self.name)
        except Rejected as rejected:
            return rejected.reject(place, file, "read", place=place)


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise Rejected("invalid-row", f"the score is {text[:40]!r}, not a number")
    return score
