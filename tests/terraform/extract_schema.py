"""Trims the Google provider's schema to what `terraform/` uses, for the stand-in provider.

    pip download --no-deps --dest wheel cdktf-cdktf-provider-google==16.12.1
    python tests/terraform/extract_schema.py wheel/*.whl > tests/terraform/google_schema.json

The wheel carries bindings generated from provider 6.50.0 (MPL-2.0). Their TypeScript, which every
file holds in its source map, names each argument with its type and whether it is required, optional
or computed, each block with its nesting, and many an argument with the values it may take. Lists
that the provider computes and nobody can write are left out, and so are the provider's endpoints.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

CONFIGURATION = Path(__file__).parents[2] / "terraform"
LICENSE = "Derived from terraform-provider-google 6.50.0, (c) HashiCorp, Inc. and others, MPL-2.0"
TYPES: dict[str, Any] = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringMap": ["map", "string"],
    "numberMap": ["map", "number"],
    "stringList": "string",
    "numberList": "number",
}

ENTRY = re.compile(
    r"\n {4,6}(\w+): \{\n.*?isBlock: (true|false),\n"
    r'\s+type: "(\w+)",\n\s+storageClassType: "(\w+)"',
    re.DOTALL,
)
FLAGS = re.compile(
    r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n"
    r"(.*?\n.*?\n.*?\n)"
)
GETTER = re.compile(r"get(String|Number|Boolean)Attribute|new cdktf\.(StringMap)\(")


def used_types(folder: Path) -> tuple[set[str], set[str]]:
    """The types of the resources and data sources in a folder of `.tf` files."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.tf")))
    found = re.findall(r'^(resource|data) "(google_\w+)"', text, re.MULTILINE)
    kinds: dict[str, set[str]] = {"resource": set(), "data": set()}
    for kind, name in found:
        kinds[kind].add(name)
    return kinds["resource"], kinds["data"]


def sources(wheel: str) -> dict[str, str]:
    """The TypeScript of every binding, by its folder's name."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".tgz")]
        packed = io.BytesIO(archive.read(name))
    found = {}
    with tarfile.open(fileobj=packed) as package:
        for member in package:
            match = re.fullmatch(r"package/lib/([a-z0-9-]+)/index\.js", member.name)
            if match and (file := package.extractfile(member)):
                found[match.group(1)] = typescript(file.read().decode("utf-8"))
    return found


def typescript(javascript: str) -> str:
    """What the source map at the end of a file was compiled from."""
    encoded = javascript.rsplit("base64,", 1)[1].strip()
    text: str = json.loads(base64.b64decode(encoded))["sourcesContent"][0]
    return text


def block_of(source: str, attributes: str, body: str, read_only: bool = False) -> dict[str, Any]:
    """A block's attributes and nested blocks.

    Args:
        source: all of the file.
        attributes: the literal that lists every writable argument with its type.
        body: the class whose comments hold `name - computed: …, optional: …, required: …`.
        read_only: whether to keep attributes that the provider alone sets.
    """
    writable = {m[0]: m[1:] for m in ENTRY.findall(attributes)}
    block: dict[str, Any] = {"attributes": {}, "block_types": {}}
    for name, computed, optional, required, code in FLAGS.findall(body):
        given = {"computed": computed, "optional": optional, "required": required}
        marks: dict[str, Any] = {key: True for key, value in given.items() if value == "true"}
        if name.endswith("_custom_endpoint"):
            continue
        if name not in writable:
            getter = re.search(
                r"get(String|Number|Boolean)Attribute|new cdktf\.(StringMap)\(", code
            )
            if read_only and getter:
                kind = "stringMap" if getter[2] else getter[1].lower()
                block["attributes"][name] = {"type": TYPES[kind], **marks}
            continue
        is_block, nesting, kind = writable[name]
        if is_block == "true":
            block["block_types"][name] = nested(source, name, nesting, kind, code, marks)
        else:
            base = TYPES[kind]
            if kind.endswith("List"):
                base = [nesting if nesting in ("list", "set") else "list", base]
            block["attributes"][name] = {"type": base, **marks, **values(source, name, body)}
    return {key: value for key, value in block.items() if value}


def nested(
    source: str, name: str, nesting: str, kind: str, code: str, marks: dict[str, Any]
) -> dict[str, Any]:
    """A nested block with how often it may occur."""
    struct = kind.removesuffix("List")
    one = f"new {struct}OutputReference(" in code
    literal = cut(source, f"export function {lower(struct)}ToHclTerraform(", "// remove undefined")
    body = cut(source, f"export class {struct}OutputReference ", "\n}\n")
    found: dict[str, Any] = {
        "nesting_mode": "single" if name == "timeouts" else nesting.replace("struct", "list"),
        "block": block_of(source, literal, body),
    }
    if marks.get("required"):
        found["min_items"] = 1
    if one and name != "timeouts":
        found["max_items"] = 1
    return found


def values(source: str, name: str, body: str) -> dict[str, list[str]]:
    """The values that the documentation allows an argument, if it lists them."""
    owner = re.match(r"export class (\w+?)(OutputReference)? ", body)
    interface = cut(source, f"export interface {owner[1]}{'' if owner[2] else 'Config'} ", "\n}\n")
    camel = re.sub(r"_(\w)", lambda m: m[1].upper(), name)
    found = re.search(rf"/\*\*((?:(?!\*/).)*)\*/\n  readonly {camel}\??:", interface, re.DOTALL)
    listed = found and re.search(r"Possible values: \[([^\]]*)\]", found[1])
    return {"values": re.findall(r'"([^"]+)"', listed[1])} if listed else {}


def cut(source: str, start: str, end: str) -> str:
    """The text from `start` to the next `end`; empty if there is none."""
    begin = source.find(start)
    return "" if begin < 0 else source[begin : source.index(end, begin) + len(end)]


def lower(name: str) -> str:
    """The name as a function's."""
    return name[0].lower() + name[1:]


def schema_of(source: str, read_only: bool = True) -> dict[str, Any]:
    """A resource's, data source's or provider's schema."""
    literal = source[source.rindex("synthesizeHclAttributes()") :]
    classes = re.findall(r"export class (\w+) extends cdktf\.Terraform\w+ \{", source)
    return block_of(
        source, literal, source[source.index(f"export class {classes[-1]} ") :], read_only
    )


def main(wheel: str) -> None:
    """Prints the trimmed schema as JSON."""
    resources, data = used_types(CONFIGURATION)
    text = sources(wheel)

    def folder(name: str) -> str:
        return name.removeprefix("google_").replace("_", "-")

    schema = {
        "notice": LICENSE,
        "provider": schema_of(text["provider"], read_only=False),
        "resources": {name: schema_of(text[folder(name)]) for name in sorted(resources)},
        "data_sources": {
            name: schema_of(text[f"data-google-{folder(name)}"]) for name in sorted(data)
        },
    }
    json.dump(schema, sys.stdout, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1])
