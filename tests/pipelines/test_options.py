"""Options become a command line, and whatever is misspelt is answered with what was meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import options as command_line
from pipelines.options import option


@dataclass(frozen=True)
class Recipe:
    output: str = option(help="folder to write to")
    servings: int = option(4, help="how many people it feeds")
    salt: float = option(0.5, help="grams, 50% of it sea salt")
    spices: tuple[str, ...] = option(("thyme", "bay"), help="what goes in")
    minutes: tuple[int, ...] = option((), help="when to stir")
    heat: str = option("low", help="of the stove", choices=("low", "high"))
    cover: bool = option(True, help="put the lid on")
    stir_often: bool = option(False, help="never leave it alone")
    limit: int | None = option(None, help="stop after so many")
    dry_run: bool = option(False, help="only read it out")

    def __post_init__(self) -> None:
        if self.servings < 1:
            raise ValueError("--servings must be at least 1")


def parse(*argv: str, beam: bool = False) -> tuple[Recipe, list[str]]:
    return command_line.parse(
        Recipe, argv, prog="python -m cook", description="Cooks.\n  example", beam=beam
    )


def refusal(capsys: pytest.CaptureFixture[str], *argv: str, beam: bool = False) -> str:
    """The last line of what is said when a command line is refused."""
    with pytest.raises(SystemExit) as exit_:
        parse(*argv, beam=beam)
    assert exit_.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("python -m cook: error: ")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "recipe.yaml"


def test_without_flags_every_option_has_its_default() -> None:
    assert parse("--output", "pot") == (Recipe(output="pot"), [])


def test_flags_have_the_types_of_their_fields() -> None:
    recipe, rest = parse(
        "--output=pot",
        "--servings=6",
        "--salt",
        "2",
        "--spices",
        "cumin, dill,",
        "--minutes=5,10",
        "--heat=high",
        "--no-cover",
        "--stir-often",
        "--limit=3",
    )

    assert recipe == Recipe("pot", 6, 2.0, ("cumin", "dill"), (5, 10), "high", False, True, limit=3)
    assert isinstance(recipe.salt, float)
    assert rest == []


def test_the_config_wins_over_the_defaults_and_flags_over_the_config(config: Path) -> None:
    config.write_text("output: pot\nservings: 2\nstir-often: true\ncover: false\nsalt: 1\n")

    recipe, _ = parse("--config", str(config), "--servings=3", "--cover")

    assert recipe == Recipe("pot", servings=3, salt=1.0, stir_often=True, cover=True)
    assert isinstance(recipe.salt, float)


def test_a_config_may_lie_in_a_bucket(config: Path) -> None:
    from tests.pipelines import bucket_filesystem  # noqa: F401

    config.write_text("servings: 2\noutput: pot\n")
    assert parse("--config", f"bucket:/{config}")[0].servings == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("spices: [cumin, dill]", {"spices": ("cumin", "dill")}),
        ("spices: cumin, dill", {"spices": ("cumin", "dill")}),
        ("spices: []", {"spices": ()}),
        ("spices: ''", {"spices": ()}),
        ("minutes: [5, 10]", {"minutes": (5, 10)}),
        ("minutes: 5", {"minutes": (5,)}),
        ("limit: null", {"limit": None}),
        ("limit: 7", {"limit": 7}),
        ("servings: '7'", {"servings": 7}),
        ("servings: 7.0", {"servings": 7}),
        ("stir_often: true", {"stir_often": True}),
        ("output: 7", {"output": "7"}),
        ("", {}),
    ],
)
def test_a_config_takes_what_a_flag_takes(
    config: Path, line: str, expected: dict[str, object]
) -> None:
    config.write_text(line, encoding="utf-8")

    recipe, _ = parse("--config", str(config), *([] if "output" in expected else ["--output=pot"]))

    assert recipe == Recipe(**{"output": "pot", **expected})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serving: 3", "unknown name 'serving' in CONFIG, did you mean servings?"),
        ("stir-oftn: true", "unknown name 'stir-oftn' in CONFIG, did you mean stir_often?"),
        ("zzz: 3", "unknown name 'zzz' in CONFIG"),
        ("servings: many", "servings: 'many' in CONFIG: "),
        ("servings: 2.5", "servings: 2.5 in CONFIG: a whole number expected"),
        ("servings: true", "servings: True in CONFIG: int expected"),
        ("servings:", "servings: None in CONFIG: a value expected"),
        ("spices:", "spices: None in CONFIG: a value expected"),
        ("minutes: [5, soon]", "minutes: [5, 'soon'] in CONFIG: "),
        ("cover: 'yes please'", "cover: 'yes please' in CONFIG: true or false expected"),
        ("heat: medium", "heat: 'medium' in CONFIG: low or high expected"),
        ("output: [a, b]", "output: ['a', 'b'] in CONFIG: one value expected"),
        ("servings: 0", "--servings must be at least 1"),
        ("- servings", "--config CONFIG must hold `name: value` lines"),
        ("a: b: c", "can't read --config CONFIG: "),
    ],
)
def test_a_wrong_config_is_refused_with_what_is_wrong(
    config: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    config.write_text(line + "\n")
    with pytest.raises(SystemExit):
        parse("--output=pot", "--config", str(config))

    message = capsys.readouterr().err.replace(str(config), "CONFIG")
    assert f"error: {said}" in message


def test_a_config_that_is_no_text_or_not_there_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "can't read --config" in refusal(capsys, "--output=pot", "--config", str(config))
    config.write_bytes(b"servings: \xff\xfe\n")
    assert "can't read --config" in refusal(capsys, "--output=pot", "--config", str(config))


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--serving=3", "unknown flag --serving, did you mean --servings?"),
        ("--stir_often", "unknown flag --stir_often, did you mean --stir-often?"),
        ("--no-covr", "unknown flag --no-covr, did you mean --no-cover?"),
        ("--confg=a.yaml", "unknown flag --confg, did you mean --config?"),
        ("--zzzzzz", "unknown flag --zzzzzz; see python -m cook --help"),
        ("pot", "unexpected argument 'pot'; every option is a --flag"),
        ("-s", "unexpected argument '-s'; every option is a --flag"),
        ("--servings=many", "argument --servings: invalid int value: 'many'"),
        ("--minutes=5,soon", "argument --minutes: invalid comma-separated int value: '5,soon'"),
        ("--servings=0", "--servings must be at least 1"),
    ],
)
def test_a_wrong_flag_is_refused_with_the_nearest_right_one(
    capsys: pytest.CaptureFixture[str], flag: str, said: str
) -> None:
    assert refusal(capsys, "--output=pot", flag) == said


def test_where_beam_runs_nothing_its_flags_are_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert refusal(capsys, "--output=pot", "--runner=x").startswith("unknown flag --runner")


def test_a_choice_that_is_none_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refusal(capsys, "--output=pot", "--heat=medium")

    assert said.startswith("argument --heat: invalid choice: 'medium'")
    assert "low" in said and "high" in said


def test_a_required_option_may_come_from_either_place_but_must_come(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("output: pan\n")

    assert parse("--config", str(config))[0].output == "pan"
    assert refusal(capsys, "--servings=3") == "missing --output"


def test_beams_flags_pass_through_with_their_values() -> None:
    recipe, rest = parse(
        "--runner=DirectRunner",
        "--output=pot",
        "--direct_num_workers",
        "2",
        "--servings=3",
        "--streaming",
        beam=True,
    )

    assert recipe == Recipe("pot", servings=3)
    assert rest == ["--runner=DirectRunner", "--direct_num_workers", "2", "--streaming"]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--runer=DirectRunner", "unknown flag --runer, did you mean --runner?"),
        ("--direct-num-workers=2", "unknown flag --direct-num-workers, did you mean "),
        ("--serving=3", "unknown flag --serving, did you mean --servings?"),
        # Beam has a flag of this spelling, and would have cooked.
        ("--dry_run", "unknown flag --dry_run, did you mean --dry-run?"),
    ],
)
def test_beside_beams_flags_a_misspelt_one_is_still_refused(
    capsys: pytest.CaptureFixture[str], flag: str, said: str
) -> None:
    assert refusal(capsys, "--output=pot", flag, beam=True).startswith(said)


def test_help_tells_every_flag_its_default_and_the_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse("--help")

    assert exit_.value.code == 0
    text = capsys.readouterr().out
    joined = " ".join(text.split())
    assert "Cooks.\n  example" in text
    assert "--output STR folder to write to (required)" in joined
    assert "--servings INT how many people it feeds (default: 4)" in joined
    assert "grams, 50% of it sea salt (default: 0.5)" in joined
    assert "--spices A,B,… what goes in (default: thyme,bay)" in joined
    assert "--cover, --no-cover put the lid on (default: True)" in joined
    assert "--limit INT stop after so many --dry-run" in joined


def test_the_options_are_plain_json_values() -> None:
    recipe = Recipe("pot", minutes=(5, 10))

    assert command_line.as_dict(recipe) == {
        "output": "pot",
        "servings": 4,
        "salt": 0.5,
        "spices": ["thyme", "bay"],
        "minutes": [5, 10],
        "heat": "low",
        "cover": True,
        "stir_often": False,
        "limit": None,
        "dry_run": False,
    }


def test_a_default_that_could_be_changed_is_refused() -> None:
    with pytest.raises(TypeError, match="tuple"):
        option([1, 2], help="several")
