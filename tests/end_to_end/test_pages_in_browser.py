"""The pages in a browser: people label and audit by keys and on a phone, and a run is watched."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route

from servers.pages import TOKEN, served
from volition.evidence.audit.sampling import sample_of
from volition.judges.settings import JudgeSettings
from volition.run.folder import RunFolder
from volition.run.run import Run
from volition.storage.labels import LabelLog
from volition.tasks.task import Task
from volition.web.labelling import Desk, labelling_app
from volition.web.sources import RunSource
from volition.web.watching import Watch, watching_app

pytestmark = pytest.mark.browser

DESKTOP, PHONE = (1280, 860), (390, 844)
KEYS = {"ArrowLeft": "first", "ArrowRight": "second", "ArrowDown": "tie", "s": "skip"}


def until(page: Page, condition: str, seconds: float = 60.0) -> None:
    """Waits for what Playwright's own waiting would evaluate in the page, where nothing may be."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"{condition}\n{page.inner_text('body')[:600]}"
        page.wait_for_timeout(30)


@contextmanager
def opened(
    browser: Browser, address: str, size: tuple[int, int] = DESKTOP, **options: Any
) -> Iterator[Page]:
    """A page that may neither complain nor ask anybody else for anything."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(address.partition(TOKEN)[0])] == []


def accessible(page: Page) -> None:
    """That axe-core finds nothing: contrast, labels, focus, landmarks."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.fixture
def copied(run: Run, tmp_path: Path) -> Path:
    shutil.copytree(run.folder.path, tmp_path / "run")
    return tmp_path / "run"


@contextmanager
def labelling(folder: Path, audit: int | None = None) -> Iterator[str]:
    sample = sample_of(RunFolder.open(folder), audit) if audit else None
    desk = Desk(lambda: RunSource(RunFolder.open(folder), sample), sample)
    desk.open()
    with served(labelling_app(desk)) as port:
        yield f"http://127.0.0.1:{port}/{TOKEN}/"
    desk.close()


def begin(page: Page, name: str) -> None:
    page.fill("#person", name)
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.show img.now').length === 2")


def press(page: Page, key: str) -> None:
    """Presses a key once the next pair is there, or its end."""
    before = page.evaluate("document.querySelector('.show img')?.src + !document.hidden")
    page.keyboard.press(key)
    until(
        page,
        f"document.querySelector('.show img')?.src + !document.hidden !== {json.dumps(before)}"
        " || !document.getElementById('done').hidden",
    )


def stored(page: Page, count: int) -> None:
    until(page, f"document.getElementById('counts').textContent.startsWith('{count} of')")
    until(page, "document.getElementById('saved').textContent === 'All answers are stored.'")


def choices(folder: Path, person: str) -> list[str]:
    return [label.choice for label in LabelLog(folder).refresh() if label.person == person]


def test_fifty_pairs_by_keyboard_with_undo_a_reload_and_a_second_person(
    browser: Browser, copied: Path
) -> None:
    pressed = [list(KEYS)[place % 4] for place in range(50)]
    with labelling(copied) as address, opened(browser, address) as anna:
        begin(anna, "Anna")
        with opened(browser, address) as ben:
            begin(ben, "Ben")
            for key in pressed[:20]:
                press(anna, key)
                press(ben, "ArrowLeft")
            stored(ben, 20)
        anna.reload()
        until(anna, "document.querySelectorAll('.show img.now').length === 2")
        stored(anna, 20)
        press(anna, "u")  # what was answered before the page was loaded anew
        stored(anna, 19)
        press(anna, "ArrowRight")
        for key in pressed[20:]:
            press(anna, key)
        stored(anna, 50)
        assert "Together with Ben" in anna.inner_text("#counts")
        assert re.search(
            r"agree in \d+% \(\d+ of \d+; 95% interval", anna.inner_text("#with-judge")
        )
    said = [KEYS[key] for key in pressed]
    assert choices(copied, "Anna") == [*said[:20], "undo", "second", *said[20:]]
    assert choices(copied, "Ben") == ["first"] * 20


@pytest.mark.parametrize(
    ("principle", "asked"),
    [
        ("kept: Nobody is woken.", "Is this kept to on the left? Left if it is, "),
        ("done: Nobody is woken.", "Is this stage done on the left? Left if it is, "),
        ("Nobody is woken.", "Under this principle: Nobody is woken."),
    ],
)
def test_what_is_asked_of_one_side_is_asked_so(
    browser: Browser, copied: Path, principle: str, asked: str
) -> None:
    def put_under(route: Route) -> None:
        reply = route.fetch()
        desk = reply.json()
        for question in desk["next"]:
            question["principle"] = principle
        route.fulfill(response=reply, json=desk)

    with labelling(copied) as address, opened(browser, address) as page:
        page.route("**/desk?*", put_under)
        begin(page, "Anna")
        shown = page.inner_text("#under")
    assert shown.startswith(asked)
    assert shown.endswith(" Nobody is woken.")
    assert "kept:" not in shown


def test_answers_wait_in_the_browser_while_nobody_takes_them(
    browser: Browser, copied: Path
) -> None:
    with labelling(copied) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        begin(page, "Anna")
        page.wait_for_load_state("networkidle")  # what comes next is there already
        context.set_offline(True)
        for _ in range(3):
            press(page, "ArrowLeft")
        until(page, "document.getElementById('saved').textContent.startsWith('3 answers wait')")
        assert choices(copied, "Anna") == []
        context.set_offline(False)
        stored(page, 3)
        context.close()
    assert choices(copied, "Anna") == ["first"] * 3


def test_keys_as_fast_as_they_come_are_all_stored(browser: Browser, copied: Path) -> None:
    with labelling(copied) as address, opened(browser, address) as page:
        begin(page, "Anna")
        for _ in range(60):
            page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(60)
        until(page, "!document.getElementById('done').hidden")
        stored(page, 60)
    assert choices(copied, "Anna") == ["first"] * 60


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_audit_on_a_phone(browser: Browser, copied: Path, scheme: Any) -> None:
    options = {"has_touch": True, "is_mobile": True, "color_scheme": scheme}
    with labelling(copied, audit=8) as address, opened(browser, address, PHONE, **options) as page:
        accessible(page)
        begin(page, "Anna")
        accessible(page)
        for number in range(8):
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.tap(".choice[data-choice=first]")
            stored(page, number + 1)
        accessible(page)
        page.tap("#to-results")
        page.wait_for_selector("h1:has-text('The judge is right in')")
        assert "8 of 8 drawn answers were looked at" in page.inner_text("main")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        accessible(page)
        wrong = page.locator(".pair").count()
    answers = choices(copied, "Anna")
    assert answers == ["first"] * 8
    assert 0 < wrong < 8  # sides are dealt at random, so the left is wrong now and then


def test_a_run_is_watched_paused_and_ends(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "live"
    judge = JudgeSettings("simulated:weak?latency=0.02&price=0.001", 24, 1.0, first=12)
    live = Run.create(Task.find("pendulum"), None, folder, live=judge, steps=2400)
    learning = threading.Thread(target=live.advance, daemon=True)
    watch = Watch(tmp_path / "runs")
    with served(watching_app(watch)) as port:
        with opened(browser, f"http://127.0.0.1:{port}/{TOKEN}/") as page:
            page.click("a:has-text('live')")
            until(page, "document.getElementById('state')?.textContent === 'unfinished'")
            learning.start()
            until(page, "document.getElementById('state')?.textContent === 'running'")
            page.click("#hold")
            until(page, "document.getElementById('state')?.textContent === 'paused'")
            page.fill("#usd", "2.5")
            page.click("#budget button")
            until(page, "document.getElementById('of-budget').textContent === 'of $2.50'")
            assert page.inner_text("#told") == "it may spend $2.5 in all"
            page.click("#hold")
            until(page, "document.getElementById('state')?.textContent === 'finished'", 150)
            until(page, "document.querySelectorAll('#learned svg .curve').length === 1")
            until(page, "document.querySelectorAll('#pairs .pair').length > 5")
            assert page.locator("#controls").is_hidden()
            assert "true return" in page.inner_text("#message").lower()
            page.click("#make-film")
            until(page, "!document.getElementById('film').hidden", 120)
            until(page, "document.getElementById('film').duration > 1")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                accessible(page)
            page.click("a:has-text('All runs')")
            page.check("input[type=checkbox]")
            accessible(page)
            page.click("#compare")
            until(page, "document.querySelectorAll('.curve').length === 2")
            accessible(page)
        learning.join()
    watch.close()
    assert Run.open(folder).result.judgments > 12
