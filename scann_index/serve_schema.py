"""The server's JSON, as its OpenAPI description tells it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Rendering(BaseModel):
    """A sentence in one language."""

    language: str
    text: str = Field(description="empty where only a recording without a transcript is known")
    audio: str | None = Field(description="of a recording: GET /audio/… plays it")


class AnswerCard(BaseModel):
    """A sentence found."""

    rank: int
    score: float = Field(description="cosine of the query with the nearest rendering")
    sentence_id: str
    language: str = Field(description="of the nearest rendering")
    modality: str = Field(description="of the nearest rendering: speech or text")
    text: str
    start: float | None = Field(description="where in a long sound it was heard, in seconds")
    end: float | None
    renderings: list[Rendering] = Field(description="what was found, then the other languages")


class QueryCard(BaseModel):
    """The query, as it was understood."""

    text: str
    seconds: float | None = Field(description="of sound")


class Answers(BaseModel):
    """What was found, best first."""

    query: QueryCard
    milliseconds: dict[str, float]
    answers: list[AnswerCard]


class LanguageCard(BaseModel):
    """A language of the index, and how many rows it has."""

    code: str
    name: str
    text: int
    speech: int


class IndexCard(BaseModel):
    """What can be found, and what may be sent."""

    languages: list[LanguageCard]
    modalities: list[str]
    rows: int
    model: str
    query_languages: list[dict[str, str]]
    limits: dict[str, float]
    examples: list[dict[str, str]] = Field(description="texts of the index to try")


class Problem(BaseModel):
    """Why a request was not answered."""

    status: int
    reason: str = Field(description="a slug, such as too-big")
    detail: str


_FILTERS: dict[str, Any] = {
    "language": {"type": "string", "description": "language of the query, where known"},
    "languages": {"type": "string", "description": "only results in these: en,fr"},
    "modality": {"type": "string", "enum": ["speech", "text"]},
    "k": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
}
SEARCH_BODY: dict[str, Any] = {
    "required": True,
    "description": "A text or a sound. A body that is a sound takes the others as parameters of "
    "the address.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string"}, **_FILTERS},
                "example": {"text": "pomme rouge", "k": 3, "languages": "en,ja"},
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "audio": {
                        "type": "string",
                        "format": "binary",
                        "description": "WAV, FLAC, OGG or MP3",
                    },
                    **_FILTERS,
                },
            }
        },
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
    },
}
