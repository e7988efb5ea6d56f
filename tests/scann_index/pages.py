"""What tests of a page share: the page, taken apart, and what a report says of a language."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

HOSTILE = '<script>alert("x")</script>\'"><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """Every element of a page with its attributes, its text, and whether its tags are balanced."""

    VOID = frozenset({"meta", "rect", "line", "path", "img", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def example(text: str, *, audio: str = "nowhere.wav", name: str = "it-1") -> dict[str, Any]:
    found = {"text": text, "english": text, "sentence_id": text, "score": 0.5, "right": False}
    return {
        "id": name,
        "sentence_id": text,
        "transcript": text,
        "english": text,
        "audio": audio,
        "speaker": text,
        "seconds": 0.5,
        "rank": 2,
        "top": [found],
    }


def language(recall: float, *, seen: bool = False) -> dict[str, Any]:
    interval = [recall - 0.05, recall + 0.05]
    scores = {"recall_at_1": recall, "recall_at_10": 0.9, "recall_at_1_interval": interval}
    return {
        "name": "Italian",
        "family": "Romance",
        "script": "Latn",
        "seen": seen,
        "pool": 4,
        "speech_to_text": {**scores, "chance": 0.25, "pool": 4, "exact_search": None},
        "text_to_speech": None,
        "speech_to_english": None,
    }
