"""The trimmed schema as Terraform's messages, and values by it: checked, defaulted, made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack

from tests.terraform.wire import Value, message

SCHEMA: dict[str, Any] = json.loads(
    Path(__file__).with_name("google_schema.json").read_text("utf-8")
)
UNKNOWN = msgpack.ExtType(0, b"\x00")
NESTING = {"single": 1, "list": 2, "set": 3}
NUMBER = "123456789012"


def encode(block: dict[str, Any]) -> bytes:
    """A `Schema` message of version 0."""
    return message((1, 0), (2, _block(block)))


def _block(block: dict[str, Any]) -> bytes:
    fields: list[tuple[int, Value | None]] = []
    for name, attribute in block.get("attributes", {}).items():
        marks = [
            (number, 1 if attribute.get(mark) else None)
            for number, mark in ((4, "required"), (5, "optional"), (6, "computed"))
        ]
        fields.append((2, message((1, name), (2, json.dumps(attribute["type"])), *marks)))
    for name, nested in block.get("block_types", {}).items():
        bounds = ((4, nested.get("min_items")), (5, nested.get("max_items")))
        kind = NESTING[nested["nesting_mode"]]
        fields.append((3, message((1, name), (2, _block(nested["block"])), (3, kind), *bounds)))
    return message(*fields)


def problems(block: dict[str, Any], value: dict[str, Any], path: str = "") -> list[str]:
    """Values that the provider's documentation does not list for an argument."""
    found = []
    for name, attribute in block.get("attributes", {}).items():
        given, allowed = value[name], attribute.get("values")
        if allowed and isinstance(given, str) and given not in allowed:
            found.append(f"{path}{name}: {given!r} is none of {', '.join(allowed)}")
    for name, nested in block.get("block_types", {}).items():
        for item in _items(value[name]):
            found += problems(nested["block"], item, f"{path}{name}.")
    return found


def planned(block: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The value with everything unknown that the provider is to compute."""
    made = dict(value)
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("computed") and made[name] is None:
            made[name] = UNKNOWN
    for name, nested in block.get("block_types", {}).items():
        if isinstance(made[name], list):
            made[name] = [planned(nested["block"], item) for item in made[name]]
    return made


def applied(kind: str, block: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The planned value with everything made up that was unknown."""
    made = dict(value)
    for name, attribute in block.get("attributes", {}).items():
        if made[name] == UNKNOWN or (attribute.get("computed") and made[name] is None):
            made[name] = invented(kind, name, attribute["type"], value)
    for name, nested in block.get("block_types", {}).items():
        if isinstance(made[name], list):
            made[name] = [applied(kind, nested["block"], item) for item in made[name]]
    return made


def invented(kind: str, name: str, type_: Any, value: dict[str, Any]) -> Any:
    """What the cloud would answer, alike enough for what refers to it."""
    if isinstance(type_, list):
        return {} if type_[0] == "map" else []
    if type_ != "string":
        return False if type_ == "bool" else 0
    project = value.get("project") or value.get("project_id")
    email = f"{value.get('account_id')}@{project}.iam.gserviceaccount.com"
    location = value.get("region") or value.get("location")
    known = {
        ("google_service_account", "email"): email,
        ("google_service_account", "member"): f"serviceAccount:{email}",
        ("google_service_account", "name"): f"projects/{project}/serviceAccounts/{email}",
        ("google_project", "number"): NUMBER,
        (
            "google_project_iam_custom_role",
            "name",
        ): f"projects/{project}/roles/{value.get('role_id')}",
        ("google_artifact_registry_repository", "name"): value.get("repository_id"),
        ("google_workflows_workflow", "id"): (
            f"projects/{project}/locations/{location}/workflows/{value.get('name')}"
        ),
    }
    return known.get((kind, name)) or f"{kind}.{name}"


def _items(value: Any) -> list[dict[str, Any]]:
    """The blocks of a nested value that are known."""
    if isinstance(value, dict):
        return [value]
    return (
        [item for item in value or [] if isinstance(item, dict)] if isinstance(value, list) else []
    )
