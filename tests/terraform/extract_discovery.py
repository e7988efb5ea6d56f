"""Trims Google's discovery documents to the methods that `terraform/` makes others call.

    pip download --no-deps --dest wheel google-api-python-client==2.202.0
    python tests/terraform/extract_discovery.py wheel/*.whl > tests/terraform/discovery.json

What is kept of a method: its verb, address, parameters and the schemas that its body may hold.
"""

from __future__ import annotations

import json
import sys
import zipfile
from typing import Any

LICENSE = "Derived from the discovery documents in google-api-python-client 2.202.0, Apache-2.0"
METHODS = {
    "dataflow.v1b3": (
        "projects.locations.flexTemplates.launch",
        "projects.locations.jobs.get",
        "projects.locations.jobs.messages.list",
    ),
    "aiplatform.v1": (
        "projects.locations.customJobs.create",
        "projects.locations.customJobs.get",
    ),
    "storage.v1": ("objects.get",),
    "workflowexecutions.v1": ("projects.locations.workflows.executions.create",),
}
KEPT = ("type", "format", "enum", "items", "properties", "additionalProperties", "$ref", "readOnly")


def method_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A method by its dotted name."""
    *resources, last = name.split(".")
    place = document
    for resource in resources:
        place = place["resources"][resource]
    method = place["methods"][last]
    shared = {} if document["name"] == "storage" else document["parameters"]
    return {
        "verb": method["httpMethod"],
        "address": document["rootUrl"] + document["servicePath"] + method["path"],
        "query": sorted(
            name
            for name, parameter in {**method["parameters"], **shared}.items()
            if parameter["location"] == "query"
        ),
        "body": method.get("request", {}).get("$ref"),
    }


def trimmed(schema: Any) -> Any:
    """A schema without its prose."""
    if isinstance(schema, list):
        return schema
    kept = {key: value for key, value in schema.items() if key in KEPT}
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = trimmed(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: trimmed(part) for name, part in kept["properties"].items()}
    return kept


def reachable(schemas: dict[str, Any], name: str | None, found: dict[str, Any]) -> None:
    """Adds a schema, and those it mentions, to `found`."""
    if name is None or name in found:
        return
    found[name] = trimmed(schemas[name])
    text = json.dumps(found[name])
    for mentioned in schemas:
        if f'"$ref": "{mentioned}"' in text:
            reachable(schemas, mentioned, found)


def main(wheel: str) -> None:
    """Prints the trimmed documents as JSON."""
    methods, schemas = {}, {}
    with zipfile.ZipFile(wheel) as archive:
        for service, names in METHODS.items():
            path = f"googleapiclient/discovery_cache/documents/{service}.json"
            document = json.loads(archive.read(path))
            schemas[service] = {}
            for name in names:
                methods[f"{service}.{name}"] = method_of(document, name)
                body = methods[f"{service}.{name}"]["body"]
                reachable(document["schemas"], body, schemas[service])
    found = {"notice": LICENSE, "methods": methods, "schemas": schemas}
    json.dump(found, sys.stdout, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1])
