"""The page in a real browser: what a person types, says, hears and sees."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
import soundfile
from playwright import sync_api

from scann_index.queries import Limits
from scann_index.searcher import Searcher
from scann_index.serve_app import Settings, create_app

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"
)
SLOW = 60_000
"""Milliseconds; a busy machine takes long to start a browser."""


def spoken_file(path: Path) -> Path:
    """Half a second of silence, a second of a tone, and silence: what the microphone hears."""
    time = np.arange(48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * (300 + 200 * time) * time)
    soundfile.write(path, np.concatenate([np.zeros(24_000), tone, np.zeros(48_000)]), 48_000)
    return path


@pytest.fixture(scope="module")
def address(project) -> str:
    """A server with the index of the tiny corpus, for as long as the tests take."""
    import uvicorn

    app = create_app(Searcher.open(str(project / "index")), Settings(limits=Limits(seconds=20)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        assert thread.is_alive(), "the server did not start"
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    sound = spoken_file(tmp_path_factory.mktemp("microphone") / "said.wav")
    flags = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=SLOW)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page, ready; whatever the browser complains of fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(SLOW)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    # Chromium reports what the server refuses; that is no fault of the page.
    refused = "Failed to load resource: the server responded with a status of 415"
    page.add_init_script(KEEP_WHAT_IS_SENT)
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert [complaint for complaint in complaints if not complaint.startswith(refused)] == []


KEEP_WHAT_IS_SENT = """
const send = window.fetch;
window.sent = [];
window.fetch = (address, how) => {
  if (how?.body instanceof Blob) window.sent.push(how.body);
  return send(address, how);
};
"""


def search(page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")
    page.wait_for_selector("body:not(.busy) .answer")


def until(page, condition: str) -> None:
    """Waits for a condition; the page's own policy forbids Playwright's way of doing so."""
    for _ in range(SLOW // 100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(condition)


def test_a_text_typed_is_found_and_shown_in_all_its_languages(page, address):
    assert page.evaluate("document.activeElement.id") == "text"
    search(page, "bianco gatto")
    assert "for “bianco gatto”" in page.text_content("#status")
    scores = [float(score) for score in page.locator(".score b").all_text_contents()]
    assert scores == sorted(scores, reverse=True)
    assert page.locator(".answer").count() == 6
    answer = page.locator(".answer", has_text="bianco gatto").first
    shown = set(answer.locator(".renderings .words").all_text_contents())
    shown.add(answer.locator(".sentence").text_content())
    assert shown == {"bianco gatto", "white cat", "blanc chat"}
    assert parse_qs(urlparse(page.url).query) == {"q": ["bianco gatto"]}
    page.goto(f"{address}?q=white%20dog")
    page.wait_for_selector(".answer")
    assert page.input_value("#text") == "white dog"


def test_what_is_said_into_the_microphone_is_sent_without_its_silence_and_answered(page):
    page.click("#microphone")
    page.wait_for_selector("#search.recording")
    assert page.get_attribute("#microphone", "aria-label") == "Stop and search"
    until(page, "document.getElementById('clock').textContent >= '0:03'")
    page.press("#microphone", "Enter")
    page.wait_for_selector(".answer")
    assert "seconds of sound" in page.text_content("#status")
    data = page.evaluate("window.sent[0].arrayBuffer().then(b => [...new Uint8Array(b)])")
    sound, rate = soundfile.read(io.BytesIO(bytes(data)))
    assert rate >= 16_000
    assert sound.ndim == 1
    assert 0.5 < len(sound) / rate < 5
    edge = int(0.02 * rate)
    loudest = np.abs(sound).max()
    assert loudest > 0.2
    assert np.abs(sound[:edge]).max() < 0.2 * loudest or len(sound) / rate > 2.5
    assert page.get_attribute("#microphone", "aria-pressed") == "false"
    page.click("#spoken button")
    page.wait_for_selector("#spoken button[aria-pressed=true]")


def test_escape_throws_a_recording_away(page):
    page.keyboard.press("Alt+KeyS")
    page.wait_for_selector("#search.recording")
    page.keyboard.press("Escape")
    page.wait_for_selector("#search:not(.recording)")
    assert page.is_visible("#text")
    assert page.locator(".answer").count() == 0
    assert page.evaluate("window.sent.length") == 0


def test_a_recording_found_can_be_heard(page):
    search(page, "white cat")
    with page.expect_response(lambda response: "/audio/" in response.url) as loaded:
        page.click(".answer:first-child > .play")
    assert loaded.value.status == 200
    button = page.locator(".answer:first-child > .play")
    assert "Play" in button.get_attribute("aria-label")
    page.wait_for_selector(".answer:first-child > .play[aria-pressed=false]")


def test_filters_by_language_and_kind_ask_again(page):
    search(page, "white cat")
    page.click("#languages summary")
    page.check("#language-boxes >> text=Italian")
    until(
        page,
        "[...document.querySelectorAll('.answer .language')]"
        ".every(e => e.textContent === 'Italian')",
    )
    assert page.text_content("#languages-shown") == "Italian"
    page.keyboard.press("Escape")
    assert page.evaluate("document.getElementById('languages').open") is False
    page.check("input[name=modality][value=speech]", force=True)
    until(
        page,
        "[...document.querySelectorAll('.answer .kind')].every(e => e.textContent === 'recording')",
    )
    page.select_option("#k", "5")
    until(page, "document.querySelectorAll('.answer').length === 5")


def test_a_file_that_is_no_sound_is_explained(page):
    page.set_input_files(
        "#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no sound" * 9}
    )
    page.wait_for_selector("#problem:not([hidden])")
    assert "no sound I can read" in page.text_content("#problem")
    page.set_input_files("#file", {"name": "a.bin", "mimeType": "", "buffer": bytes(9_000_000)})
    until(page, "document.getElementById('problem').textContent.includes('too big')")


def test_everything_is_reached_by_keyboard_and_has_a_name(page):
    search(page, "white cat")
    page.focus(".brand")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(() => { const e = document.activeElement; return ["
                "e.id || e.className || e.tagName, "
                "e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent, "
                "getComputedStyle(e).outlineStyle] })()"
            )
        )
    names = [name for name, _, _ in reached]
    for wanted in (
        "text",
        "microphone",
        "go",
        "k",
        "file",
        "language",
        "round play",
        "round small play",
    ):
        assert wanted in names, f"{wanted} is not reached: {names}"
    assert all(label.strip() for name, label, _ in reached if name != "BODY"), reached
    ringed = {name for name, _, outline in reached if outline != "none"}
    assert {"microphone", "go", "round play"} <= ringed


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_readable_in_both_schemes(browser, address, scheme):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    context.set_default_timeout(SLOW)
    page = context.new_page()
    page.goto(f"{address}?q=bianco%20gatto")
    page.wait_for_selector(".answer")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate(
        "[...document.querySelectorAll('button:not(.small):not(.link)')]"
        ".filter(b => b.offsetParent).map(b => [b.offsetWidth, b.offsetHeight])"
    )
    assert all(min(size) >= 34 for size in sizes), sizes
    faint = page.evaluate(Path(__file__).with_name("contrast.js").read_text(encoding="utf-8"))
    assert json.loads(faint) == []
    context.close()
