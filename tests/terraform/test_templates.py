"""What the templates offer exists: every parameter is an option of its verb."""

from __future__ import annotations

import dataclasses
import importlib
import json
from typing import Any, get_type_hints

import pytest

from pipelines import flex_template
from scann_index.serve import ServeOptions
from tests.terraform.terraform_cli import resources

VERBS = ("prepare", "translate", "build", "evaluate")

# No image holds eSpeak NG; the workflow says itself where the report is.
NOT_OFFERED = {
    "prepare": {"voices", "words", "synthetic", "synthetic_languages"},
    "evaluate": {"report_prefix"},
}


def options_of(verb: str) -> type:
    module, name = flex_template.VERBS[verb]
    found: type = getattr(importlib.import_module(module), name)
    return found


def spec(state: dict[str, Any], verb: str) -> dict[str, Any]:
    template = resources(state)[f'google_storage_bucket_object.template["{verb}"]']
    assert template["name"] == f"templates/{verb}.json"
    found: dict[str, Any] = json.loads(template["content"])
    return found


def test_there_is_a_template_of_every_verb(everything: dict[str, Any]) -> None:
    prefix = "google_storage_bucket_object.template"
    made = [address for address in resources(everything) if address.startswith(prefix)]
    assert sorted(made) == sorted(f'{prefix}["{verb}"]' for verb in flex_template.VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_takes_a_value_is_a_parameter(
    verb: str, everything: dict[str, Any]
) -> None:
    hints = get_type_hints(options_of(verb))
    parameters = {p["name"]: p for p in spec(everything, verb)["metadata"]["parameters"]}
    assert parameters.pop("verb")["regexes"] == [f"^{verb}$"]
    values = {name for name in hints if hints[name] is not bool}
    assert set(parameters) == values - NOT_OFFERED.get(verb, set())


@pytest.mark.parametrize("verb", VERBS)
def test_a_parameter_is_required_if_its_option_is(verb: str, everything: dict[str, Any]) -> None:
    fields = {field.name: field for field in dataclasses.fields(options_of(verb))}
    required = {
        p["name"]
        for p in spec(everything, verb)["metadata"]["parameters"]
        if not p["isOptional"] and p["name"] != "verb"
    }
    given = {"corpus"} if verb == "prepare" else set()  # the demo's needs what no image holds
    must = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    assert required == must | given


@pytest.mark.parametrize("verb", VERBS)
def test_a_parameter_has_what_the_console_asks_for(verb: str, everything: dict[str, Any]) -> None:
    found = spec(everything, verb)
    assert found["image"] == "us-central1-docker.pkg.dev/my-project-123/ear/worker:0a1b2c3"
    assert found["sdkInfo"] == {"language": "PYTHON"}
    assert [p for p in found["metadata"]["parameters"] if not (p["label"] and p["helpText"])] == []


def test_the_server_is_started_with_options_that_exist(everything: dict[str, Any]) -> None:
    (template,) = resources(everything)["google_cloud_run_v2_service.server[0]"]["template"]
    (container,) = template["containers"]
    names = {argument.split("=")[0].removeprefix("--") for argument in container["args"]}
    assert names == {"index", "host", "port"} <= set(get_type_hints(ServeOptions))
    assert container["image"].endswith("/server:0a1b2c3")
