"""One typed options object a verb, turned into a command line.

A verb declares a frozen dataclass; each field becomes a flag, its type the parser, its default the
default, its help the text under `--help`. Values come from the defaults, then `--config FILE.yaml`,
then the flags given, and `as_dict` of the result is written beside the output.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pipelines import storage

T = TypeVar("T")


def option(default: Any = dataclasses.MISSING, *, help: str, choices: Sequence[str] = ()) -> Any:
    """A dataclass field that knows how to explain itself.

    Args:
        default: the default; left out, the flag is required.
        help: one or two plain sentences, with the unit.
        choices: the values allowed, for a `str` field.
    """
    metadata = {"help": help, "choices": tuple(choices)}
    if isinstance(default, (list, dict)):
        raise TypeError("use a tuple for a default of several values")
    return dataclasses.field(default=default, metadata=metadata)


def as_dict(options: Any) -> dict[str, Any]:
    """The resolved options as plain JSON values, tuples as lists."""
    values = dataclasses.asdict(options)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def parse(
    options_class: type[T],
    argv: Sequence[str] | None = None,
    *,
    prog: str,
    description: str,
    beam: bool = False,
    defaults: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> tuple[T, list[str]]:
    """Parses a command line into `options_class`.

    Args:
        options_class: a dataclass made of `option` fields.
        argv: the arguments, `sys.argv[1:]` if None.
        prog: what the user typed, such as `python -m pipelines.prepare`.
        description: what the verb does, with an example; shown by `--help`.
        beam: whether flags this verb doesn't know may belong to Beam's `PipelineOptions`.

    Returns:
        The options, and the flags left for Beam (empty unless `beam`).

    Raises:
        SystemExit: with status 2 and the nearest right flag for a misspelt one.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(options_class, prog, description)
    if beam:
        parser.add_argument(
            "--env",
            metavar="OUTPUTS.json",
            help="run on the cloud that this file of `terraform output -json` describes",
        )
    namespace, unknown = parser.parse_known_args(argv)
    given = {k: v for k, v in vars(namespace).items() if v is not None}
    config, env = given.pop("config", None), given.pop("env", None)
    fields = {f.name: f for f in dataclasses.fields(options_class)}  # type: ignore[arg-type]
    known_flags = list(parser._option_string_actions)

    values = _read_config(parser, config, options_class) if config else {}
    values.update(given)
    beam_flags = _beam_flags() if beam else {}
    passed: list[str] = []
    for argument in unknown:
        flag = argument.split("=", 1)[0]
        # Beam has a --dry_run too, which does nothing here.
        ours = [flag.replace("_", "-")] if flag.replace("_", "-") in known_flags else []
        if flag.startswith("--") and (ours or flag not in beam_flags):
            near = ours or difflib.get_close_matches(flag, [*known_flags, *beam_flags], 1, 0.5)
            hint = f", did you mean {near[0]}?" if near else f"; see {prog} --help"
            parser.error(f"unknown flag {flag}{hint}")
        if not flag.startswith("--") and not passed:
            parser.error(f"unexpected argument {argument!r}; every option is a --flag")
        passed.append(argument)
    if defaults is not None:
        try:
            values = {**defaults(values), **values}
        except ValueError as error:
            parser.error(str(error))
    missing = [
        name
        for name, f in fields.items()
        if name not in values and f.default is dataclasses.MISSING
    ]
    if missing:
        parser.error("missing " + ", ".join("--" + name.replace("_", "-") for name in missing))
    try:
        if env:
            from pipelines.cloud import beam_flags as flags_of

            passed = flags_of(env, passed)
        return options_class(**values), passed
    except ValueError as error:
        parser.error(str(error))


def _parser(options_class: type, prog: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", metavar="FILE.yaml", help="values for any of the flags below; flags win over it"
    )
    hints = get_type_hints(options_class)
    for field in dataclasses.fields(options_class):
        kind, many = _kind(hints[field.name])
        keywords: dict[str, Any] = {"default": None, "help": _help(field)}
        if kind is bool:
            keywords["action"] = argparse.BooleanOptionalAction
        elif many:
            keywords.update(type=_comma_separated(kind), metavar="A,B,…")
        elif field.metadata["choices"]:
            keywords["choices"] = field.metadata["choices"]
        else:
            keywords.update(type=kind, metavar=kind.__name__.upper())
        parser.add_argument("--" + field.name.replace("_", "-"), **keywords)
    return parser


def _help(field: dataclasses.Field[Any]) -> str:
    text: str = field.metadata["help"].replace("%", "%%")
    if field.default is dataclasses.MISSING:
        return f"{text} (required)"
    if field.default is None or field.default == () or field.default == "":
        return text
    default = field.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{text} (default: {shown})"


def _kind(hint: Any) -> tuple[type, bool]:
    """The parser of one value, and whether the flag takes several."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _comma_separated(kind: type) -> typing.Callable[[str], tuple[Any, ...]]:
    def parse_list(text: str) -> tuple[Any, ...]:
        return tuple(kind(part.strip()) for part in text.split(",") if part.strip())

    parse_list.__name__ = f"comma-separated {kind.__name__}"
    return parse_list


def _read_config(parser: argparse.ArgumentParser, path: str, options_class: type) -> dict[str, Any]:
    import yaml

    try:
        loaded = yaml.safe_load(storage.read_bytes(path).decode("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        parser.error(f"can't read --config {path}: {error}")
    if not isinstance(loaded, dict):
        parser.error(f"--config {path} must hold `name: value` lines")
    hints = get_type_hints(options_class)
    choices = {f.name: f.metadata["choices"] for f in dataclasses.fields(options_class)}
    values: dict[str, Any] = {}
    for key, value in loaded.items():
        name = str(key).replace("-", "_")
        if name not in hints:
            near = difflib.get_close_matches(name, hints, 1, 0.5)
            hint = f", did you mean {near[0]}?" if near else ""
            parser.error(f"unknown name {key!r} in {path}{hint}")
        try:
            values[name] = _config_value(value, hints[name], choices[name])
        except (TypeError, ValueError) as error:
            parser.error(f"{key}: {value!r} in {path}: {error}")
    return values


def _config_value(value: Any, hint: Any, choices: Sequence[str]) -> Any:
    """A value of a YAML file as the flag would have given it.

    Raises:
        ValueError: the flag would not have taken it.
    """
    kind, many = _kind(hint)
    if value is None:
        if type(None) in get_args(hint):
            return None
        raise ValueError("a value expected")
    if many:
        parts = value if isinstance(value, list) else _comma_separated(str)(str(value))
        return tuple(_config_value(part, kind, choices) for part in parts)
    if isinstance(value, (list, dict)):
        raise ValueError("one value expected")
    if isinstance(value, bool) != (kind is bool):
        raise ValueError("true or false expected" if kind is bool else f"{kind.__name__} expected")
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ValueError("a whole number expected")
    if choices and value not in choices:
        raise ValueError(f"{' or '.join(choices)} expected")
    return kind(value)


def _beam_flags() -> dict[str, str]:
    """Every flag that Beam's option classes declare, so that typing errors are caught early."""
    from pipelines import quiet  # noqa: F401  (before Beam)

    from apache_beam.options.pipeline_options import PipelineOptions  # isort: skip

    def subclasses(cls: Any) -> list[Any]:
        return [s for child in cls.__subclasses__() for s in [child, *subclasses(child)]]

    flags: dict[str, str] = {}
    for cls in subclasses(PipelineOptions):
        declare = cls.__dict__.get("_add_argparse_args")
        if declare is None:
            continue
        parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
        cls._add_argparse_args(parser)
        flags.update(dict.fromkeys(parser._option_string_actions, cls.__name__))
    return flags
