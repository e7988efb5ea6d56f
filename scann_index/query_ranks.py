"""Where each query's right answer came: what two evaluations are compared by, query by query."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines import storage
from scann_index.retrieval import Retrieval

_TEXTS = ("task", "id", "sentence_id", "speaker", "gender", "found_id", "found_sentence_id")


def queries_path(folder: str, language: str) -> str:
    """The file of a language's queries."""
    return storage.join(folder, "queries", f"{language}.parquet")


def write_queries(path: str, found: Mapping[str, Retrieval | None]) -> None:
    """Writes a row for each query of each task, the same bytes for the same queries.

    Args:
        path: of the file.
        found: what was found, by task.

    The columns are `task`; `id`, `sentence_id`, `speaker` and `gender` of the query; `rank`,
    `exact_rank` (int64, 1 for the top) and `xsim_error` (bool); `found_id`, `found_sentence_id` and
    `score` (float32, a cosine) of the row that the index found first.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [_table(task, one) for task, one in found.items() if one]
    buffer = io.BytesIO()
    pq.write_table(pa.concat_tables([_schema().empty_table(), *tables]), buffer)
    storage.write_bytes(path, buffer.getvalue())


def _schema() -> Any:
    import pyarrow as pa

    types = {
        "task": pa.string(),
        "id": pa.string(),
        "sentence_id": pa.string(),
        "speaker": pa.string(),
        "gender": pa.string(),
        "rank": pa.int64(),
        "exact_rank": pa.int64(),
        "xsim_error": pa.bool_(),
        "found_id": pa.string(),
        "found_sentence_id": pa.string(),
        "score": pa.float32(),
    }
    return pa.schema(list(types.items()))


def _table(task: str, retrieval: Retrieval) -> Any:
    import pyarrow as pa

    columns = {
        "task": [task] * len(retrieval),
        **{name: retrieval.column(name) for name in ("id", "sentence_id", "speaker", "gender")},
        "rank": retrieval.ranks,
        "exact_rank": retrieval.exact_ranks,
        "xsim_error": retrieval.xsim_errors,
        "found_id": retrieval.hit_column("id"),
        "found_sentence_id": retrieval.hit_column("sentence_id"),
        "score": retrieval.found.top_scores[:, 0],
    }
    return pa.table(columns, schema=_schema())


def read_queries(folder: str, language: str, task: str = "speech_to_text") -> dict[str, Any]:
    """The queries of one task.

    Args:
        folder: of an evaluation.
        language: ISO 639 code.
        task: as in `report.json`.

    Returns:
        The columns by name, lists of str or numpy arrays, in the order of the queries' ids.

    Raises:
        FileNotFoundError: the evaluation has no such file; older ones have none at all.
        ValueError: the file is damaged or has other columns.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = queries_path(folder, language)
    try:
        table = pq.read_table(io.BytesIO(storage.read_bytes(path)))
    except pa.ArrowException as error:
        raise ValueError(f"{path} is not readable as Parquet: {error}") from None
    if table.column_names != _schema().names:
        raise ValueError(f"{path} has the columns {table.column_names}")
    table = table.filter(pc.equal(table["task"], task))
    return {
        name: table[name].to_pylist() if name in _TEXTS else np.asarray(table[name])
        for name in table.column_names
    }
