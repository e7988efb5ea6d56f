"""Requests held against the services' own descriptions (`discovery.json`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCUMENT: dict[str, Any] = json.loads(Path(__file__).with_name("discovery.json").read_text("utf-8"))
KINDS = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list}


def method_of(verb: str, url: str) -> tuple[str, dict[str, Any]]:
    """The method that a request calls.

    Args:
        verb: GET or POST.
        url: without its query. A region before the host's name is ignored.

    Raises:
        LookupError: no method of the services in use has this address.
    """
    url = re.sub(r"^https://[a-z]+-[a-z]+\d-", "https://", url)
    for name, method in DOCUMENT["methods"].items():
        pattern = re.escape(method["address"])
        pattern = re.sub(r"\\\{\\\+\w+\\\}", r"[\\w./-]+", pattern)
        pattern = re.sub(r"\\\{\w+\\\}", r"[\\w.%-]+", pattern)
        if method["verb"] == verb and re.fullmatch(pattern, url):
            return name, method
    raise LookupError(f"{verb} {url} is no method")


def problems(verb: str, url: str, query: Mapping[str, str], body: Any) -> list[str]:
    """What is wrong with a request: unknown parameters, fields and values, wrong types."""
    try:
        name, method = method_of(verb, url)
    except LookupError as error:
        return [str(error)]
    found = [f"{name}: no parameter {key}" for key in query if key not in method["query"]]
    if method["body"] is None:
        return found + ([f"{name}: takes no body"] if body else [])
    service = ".".join(name.split(".")[:2])
    schemas = DOCUMENT["schemas"][service]
    return found + _problems(schemas, {"$ref": method["body"]}, body, name)


def _problems(schemas: dict[str, Any], schema: dict[str, Any], value: Any, path: str) -> list[str]:
    schema = {**schemas[schema["$ref"]], **schema} if "$ref" in schema else schema
    if schema.get("readOnly"):
        return [f"{path}: the service alone sets it"]
    kind = schema.get("type", "any")
    if kind == "object":
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        found = []
        for key, part in value.items():
            if key not in known and others is None:
                found.append(f"{path}: no field {key}")
            else:
                found += _problems(schemas, known.get(key, others), part, f"{path}.{key}")
        return found
    if kind == "string" and schema.get("format") == "int64" and isinstance(value, int):
        return []  # the JSON of protocol buffers takes numbers too
    if kind in KINDS and not isinstance(value, KINDS[kind]):
        return [f"{path}: {value!r} is no {kind}"]
    if isinstance(value, bool) and kind in ("integer", "number"):
        return [f"{path}: {value!r} is no {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path}: {value!r} is none of {', '.join(schema['enum'])}"]
    if kind == "array":
        return [
            problem
            for index, item in enumerate(value)
            for problem in _problems(schemas, schema["items"], item, f"{path}[{index}]")
        ]
    return []
