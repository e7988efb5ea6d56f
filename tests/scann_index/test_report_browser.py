"""Report and comparison in a real browser: nothing refused, nothing cut, nothing too faint."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api

from pipelines import storage
from pipelines.output_dir import OutputDir
from scann_index.bundle import Bundle
from scann_index.compare_page import render as render_comparison
from scann_index.comparison import compare
from scann_index.evaluation import Evaluation
from scann_index.report import render
from tests.scann_index import three_languages
from tests.scann_index.pages import language
from tests.scann_index.test_compare import HALF, MORE, make_evaluation
from tests.scann_index.test_report_parts import groups

CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"
)
SLOW = 60_000
"""Milliseconds; a busy machine takes long to start a browser."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=SLOW)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two pages as files, made without scoring anything."""
    folder = tmp_path_factory.mktemp("pages")
    index, data, run = three_languages.make_all(str(folder))
    (folder / "report.html").write_text(report(index, data, run), "utf-8")
    evaluations = [
        Evaluation.open(make_evaluation(folder / name, {"es": ranks, "it": HALF, "ja": HALF}))
        for name, ranks in (("before", HALF), ("after", MORE))
    ]
    compared = compare(evaluations, ["before", "a name that is long enough to be cut"])
    (folder / "compare.html").write_text(render_comparison(compared), "utf-8")
    return {name: folder / f"{name}.html" for name in ("report", "compare")}


def report(index: str, data: OutputDir, run: OutputDir) -> str:
    bundle = Bundle.open(index)
    names = {"en": "English", "it": "Italian", "zh": "Chinese"}
    languages = {
        code: language(0.9 - i / 3, seen=code == "en") | {"name": name, "family": name}
        for i, (code, name) in enumerate(names.items())
    }
    for entry in languages.values():
        entry["speech_to_text"] |= {"queries": 4, "recall_at_5": 0.9}
    interval = {"recall_at_1": 0.5, "recall_at_1_interval": [0.4, 0.6], "recall_at_5": 0.9}
    mean = {**interval, "recall_at_10": 1.0, "language_count": 1, "chance": 0.25}
    tasks = {"speech_to_text": mean, "text_to_speech": None, "speech_to_english": None}
    means = {
        group: {"languages": ["it"], **tasks} for group in ("seen", "unseen", "unseen_seen_script")
    }
    row = three_languages.speech_row("it", 0, audio=bundle.shards(language="it")[0].rows[0].audio)
    example = {"id": row.id, "sentence_id": row.sentence_id, "transcript": row.text, "rank": 1}
    example |= {"english": "a cat", "audio": row.audio, "top": []}
    return render(
        {"split": "test", "languages": languages, "means": means, "index": {}, **groups()},
        examples={code: [example | {"id": f"{code}-1"}] for code in names},
        data=data,
        run=run,
        stages={"prepare": data.stats, "train": run.stats},
        index=bundle,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "compare"])
def test_it_fits_a_phone_is_readable_and_breaks_no_rule_of_its_own(browser, pages, name, scheme):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    context.set_default_timeout(SLOW)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.goto(pages[name].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    script = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
    texts = '"p, h1, h2, h3, td, th, code, .bar b, .pill, .change b, .change small,'
    more = script.replace('".sentence,', texts)
    assert more != script
    assert json.loads(page.evaluate(more)) == []
    assert complaints == []
    context.close()


def test_a_language_is_chosen_its_example_plays_and_another_stops_it(browser, pages):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(SLOW)
    page.goto(pages["report"].as_uri())
    shown = "[...document.querySelectorAll('.gallery section')].filter(s => !s.hidden)"
    assert page.evaluate(f"{shown}.map(s => s.dataset.language)") == ["it"]
    page.click(".chooser button[data-language=zh]")
    assert page.evaluate(f"{shown}.map(s => s.dataset.language)") == ["zh"]
    play = "document.querySelectorAll('audio')[%d].play().then(() => true, String)"
    sounds = page.locator("audio").count()
    assert page.evaluate(play % 0) is True
    assert page.evaluate(play % (sounds - 1)) is True
    assert page.evaluate("document.querySelectorAll('audio')[0].paused") is True
    # Points of the scatter stand on the plot, above one another as their recall.
    tops = page.evaluate(
        "[...document.querySelectorAll('.scatter .point')].map(p => p.getBoundingClientRect().top)"
    )
    assert len(tops) == 3
    assert tops == sorted(tops, reverse=True)
    page.click(".contents a[href='#cost']")
    assert 0 <= page.evaluate("document.querySelector('#cost').getBoundingClientRect().top") < 600
    page.close()


def test_what_differs_surely_is_drawn_filled(browser, pages):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SLOW)
    page.goto(pages["compare"].as_uri())
    unsure = page.evaluate(
        "[...document.querySelectorAll('.pair-row:not(.head)')].map(row => "
        "[row.querySelector('code').textContent, !!row.querySelector('.unsure')])"
    )
    assert dict(unsure) == {"es": False, "it": True, "ja": True}
    assert storage.exists(str(pages["compare"]))
    page.close()
