"""Apertium, where it is installed: apt-get install apertium-eng-spa."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.rejects import Rejected
from pipelines.translation.apertium import Apertium, escaped, interpreted, programs
from pipelines.translation.engine import (
    EngineOptions,
    Translation,
    fingerprint,
    open_engine,
    translate_all,
)
from tests.pipelines.translation.installed import needs_apertium

OPTIONS = EngineOptions("apertium", batch_size=4)


@pytest.fixture(scope="module")
def apertium() -> Apertium:
    engine = open_engine(OPTIONS)
    assert isinstance(engine, Apertium)
    engine.load()
    return engine


def texts(outcomes: list[Translation | Rejected]) -> list[str]:
    assert all(isinstance(outcome, Translation) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes if isinstance(outcome, Translation)]


@needs_apertium
def test_spanish_becomes_english_and_english_spanish(apertium: Apertium) -> None:
    assert texts(apertium.translate(["El gato negro duerme en la casa."], "es", "en")) == [
        "The black cat sleeps in the house."
    ]
    assert "gato" in texts(apertium.translate(["The cat sleeps."], "en", "es"))[0]


@needs_apertium
def test_each_text_is_translated_for_itself_in_any_order(apertium: Apertium) -> None:
    sentences = ["El perro corre.", "", "¿Qué?", "Mi hermano trabaja en una escuela.", "Hola"]
    together = translate_all(apertium, sentences, "es", "en")

    assert texts(together) == [
        text for one in sentences for text in texts(apertium.translate([one], "es", "en"))
    ]
    assert texts(translate_all(apertium, sentences[::-1], "es", "en"))[::-1] == texts(together)


@needs_apertium
def test_unknown_words_are_copied_without_marks_and_lower_the_score(apertium: Apertium) -> None:
    (known,) = apertium.translate(["El perro corre."], "es", "en")
    (half,) = apertium.translate(["perro xyzzyplugh"], "es", "en")
    assert isinstance(known, Translation)
    assert isinstance(half, Translation)

    assert known.score == 1.0
    assert (half.text.casefold(), half.score) == ("dog xyzzyplugh", 0.5)


@needs_apertium
@pytest.mark.parametrize(
    "text",
    [
        "<script>rm -rf ~; `id` $(id) > casa</script>",
        "^casa/casa<n><f><sg>$ [<b>] {} @gato #perro *mesa \\ | & ' \"",
        "casa[]casa",
        "casa\\[]",
        "a@b.es",
    ],
)
def test_what_means_something_to_a_shell_or_to_apertium_is_text(
    apertium: Apertium, text: str
) -> None:
    (said, after) = texts(apertium.translate([text, "El perro corre."], "es", "en"))

    assert after == "The dog runs."
    kept = [letter for letter in text if letter in "<>[]{}^$\\|&/`"]
    assert [letter for letter in said if letter in "<>[]{}^$\\|&/`"] == kept


@needs_apertium
def test_a_chain_that_dies_costs_one_batch_one_retry(apertium: Apertium) -> None:
    apertium.translate(["hola"], "es", "en")
    (chain,) = [c for mode, c in apertium._chains.items() if mode.endswith("spa-eng.mode")]
    chain._programs[3].kill()

    assert texts(translate_all(apertium, ["El perro corre.", "hola"], "es", "en"))[0] == (
        "The dog runs."
    )


@needs_apertium
def test_a_killed_worker_leaves_no_program_behind(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from pipelines.translation.engine import EngineOptions, open_engine\n"
        "engine = open_engine(EngineOptions('apertium'))\n"
        "engine.translate(['hola'], 'es', 'en')\n"
        "(chain,) = engine._chains.values()\n"
        "print(*(p.pid for p in chain._programs), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
    )
    pids = ended.stdout.split()
    assert len(pids) > 5

    def alive(pid: str) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if alive(pid)]


@needs_apertium
def test_the_identity_names_mode_and_model_and_differs_by_direction(apertium: Apertium) -> None:
    one, other = apertium.identity("es", "en"), apertium.identity("en", "es")

    assert (one["mode"], other["mode"]) == ("spa-eng", "eng-spa")
    assert len(one["model_sha256"]) == 64
    assert fingerprint(one) != fingerprint(other)
    assert one == open_engine(OPTIONS).identity("es", "en")
    with pytest.raises(Rejected, match="no jpn-swa here"):
        apertium.identity("ja", "sw")


@needs_apertium
def test_an_engine_that_is_let_go_ends_its_programs() -> None:
    engine = Apertium(OPTIONS, "")
    engine.translate(["hola"], "es", "en")
    (chain,) = engine._chains.values()
    programs = chain._programs
    del chain, engine
    gc.collect()

    assert [program.poll() is not None for program in programs] == [True] * len(programs)


def test_without_apertium_the_error_tells_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="apt-get install apertium-eng-spa"):
        open_engine(EngineOptions(f"apertium:{tmp_path}"))


def test_a_mode_is_a_chain_of_commands_without_a_shell(tmp_path: Path) -> None:
    mode = tmp_path / "xxx-yyy.mode"
    mode.write_text(
        "lt-proc -w '/data dir/a.bin' | apertium-tagger -g $2 '/data/b.prob'| lt-proc $1 c.bin\n"
    )

    assert programs(str(mode)) == [
        ["lt-proc", "-z", "-w", "/data dir/a.bin"],
        ["apertium-tagger", "-z", "-g", "/data/b.prob"],
        ["lt-proc", "-z", "-g", "c.bin"],
    ]


def test_marks_are_told_from_text() -> None:
    assert escaped("5 * 3 [x] *a #b a@b") == "5 * 3 \\[x\\] a b a\\@b"
    assert interpreted("The *gato eats #fish at 5 * 3 a\\@b\\[1\\]") == Translation(
        "The gato eats fish at 5 * 3 a@b[1]", 8 / 10
    )
    assert interpreted("") == Translation("", 0.0)
