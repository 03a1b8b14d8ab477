"""The report, opened from its file in a browser, as a person would."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from volition.evidence.comparing.contest import Contest
from volition.evidence.report import write_report
from volition.evidence.report.pairs import Pair, read_pairs
from volition.evidence.report.reading import read_evidence
from volition.goal import Change
from volition.judges.settings import JudgeSettings
from volition.run.correcting.saying import plan, say
from volition.run.folder import RunFolder
from volition.run.run import Run

pytestmark = pytest.mark.browser

DESKTOP, PHONE = (1280, 860), (390, 844)


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("browser") / "run"
    shutil.copytree(run.folder.path, copy)
    return write_report(Run.open(copy))


@pytest.fixture(scope="module")
def pairs(run: Run) -> list[Pair]:
    return read_pairs(read_evidence(run))


def until(page: Page, condition: str, seconds: float = 30.0) -> None:
    """Waits for what Playwright's own waiting would evaluate in the page, where nothing may be."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


CHARTS = "document.querySelectorAll('.js-plotly-plot').length >= 6"


@contextmanager
def opened(
    browser: Browser,
    report: Path,
    size: tuple[int, int] = DESKTOP,
    ready: str = CHARTS,
    **options: Any,
) -> Iterator[Page]:
    """A page from its file, which may neither complain nor ask the network for anything."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    until(page, ready)
    yield page
    context.close()
    assert complaints == []
    assert [url[:80] for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def shown(page: Page) -> int:
    return page.locator(".pair:visible").count()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_looks(browser: Browser, report: Path, size: tuple[int, int], tmp_path: Path) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        with opened(browser, report, size, color_scheme=scheme) as page:
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            path = tmp_path / f"{scheme}.png"
            page.screenshot(path=path, full_page=True)
            with Image.open(path) as image:
                seen[scheme] = np.asarray(image.convert("L"))
    assert np.median(seen["light"]) > 230
    assert np.median(seen["dark"]) < 40


def test_every_chart_is_drawn(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        for chart in page.locator(".chart").all():
            assert chart.locator("svg.main-svg").count()
            box = chart.bounding_box()
            assert box is not None
            assert box["width"] > 200
            assert chart.get_attribute("aria-label")


def test_filter(browser: Browser, report: Path, pairs: list[Pair]) -> None:
    expected = {
        "unsure": sum(0.25 < pair.model_p_a < 0.75 for pair in pairs),
        "disagrees": sum(pair.disagrees for pair in pairs),
        "all": len(pairs),
    }
    with opened(browser, report) as page:
        assert shown(page) == len(pairs)
        for kind, count in expected.items():
            button = page.locator(f"[data-filter={kind}]")
            button.click()
            assert button.get_attribute("aria-pressed") == "true"
            assert page.locator("[data-filter][aria-pressed=true]").count() == 1
            assert shown(page) == count
            assert page.locator(".showing").inner_text() == (
                f"Showing {count} of {len(pairs)} pairs"
            )
            assert page.locator(".empty").is_visible() == (count == 0)


def test_filter_by_keyboard_and_back_by_an_answer(
    browser: Browser, report: Path, pairs: list[Pair]
) -> None:
    with opened(browser, report) as page:
        page.locator("[data-filter=disagrees]").focus()
        page.keyboard.press("Enter")
        assert shown(page) == sum(pair.disagrees for pair in pairs)
        agreed = next(pair for pair in pairs if not pair.disagrees)
        page.locator(f'.answers a[href="#pair-{agreed.comparison_id}"]').click()
        assert page.locator(f"#pair-{agreed.comparison_id}").is_visible()


def test_gallery_marks_the_preferred_side(
    browser: Browser, report: Path, pairs: list[Pair]
) -> None:
    with opened(browser, report) as page:
        for pair in pairs[:5]:
            card = page.locator(f"#pair-{pair.comparison_id}")
            card.scroll_into_view_if_needed()
            sides = card.locator(".side")
            marked = [
                "chosen" in (side.get_attribute("class") or "").split() for side in sides.all()
            ]
            assert marked == [pair.chosen == "A", pair.chosen == "B"]
            for picture in sides.locator("img").all():
                assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)")


def test_film_plays(browser: Browser, report: Path) -> None:
    with opened(browser, report) as page:
        film = page.locator("#film")
        until(page, "document.getElementById('film').currentTime > 0.1")
        assert film.evaluate("film => film.duration") == pytest.approx(201 / 30, abs=0.1)
        assert film.evaluate("film => film.muted && film.loop && film.error === null")
        assert film.evaluate("film => film.videoWidth > 3 * film.videoHeight * 0.9")
        reds = film.evaluate(
            """film => {
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [film.videoWidth, film.videoHeight];
                const brush = canvas.getContext("2d");
                brush.drawImage(film, 0, 0);
                const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
                let reds = 0;
                for (let i = 0; i < data.length; i += 4) reds += data[i] - data[i + 1] > 60;
                return reds;
            }"""
        )
        assert reds > 3000  # three rods
        page.locator("#pause").click()
        assert film.evaluate("film => film.paused")
        assert page.locator("#pause").inner_text() == "Play"


def test_film_waits_for_a_person_who_wants_less_motion(browser: Browser, report: Path) -> None:
    with opened(browser, report, reduced_motion="reduce") as page:
        assert page.locator("#film").evaluate("film => film.paused && !film.autoplay")
        assert page.locator("#pause").inner_text() == "Play"


def test_switch_of_scheme(browser: Browser, report: Path) -> None:
    with opened(browser, report, color_scheme="light") as page:

        def colours() -> tuple[Any, Any]:
            return (
                page.evaluate("getComputedStyle(document.body).backgroundColor"),
                page.evaluate("document.getElementById('landscape').data[2].line.color"),
            )

        before = colours()
        page.locator("#scheme").click()
        after = colours()
        assert before[0] != after[0]
        assert before[1] != after[1]
        page.locator("#scheme").click()
        assert colours() == before


def test_a_comparison_without_a_film_of_its_own_says_nothing_is_wrong(
    browser: Browser, run: Run, tmp_path: Path
) -> None:
    contest = Contest(str(run.folder.path), "random", out=tmp_path / "kept", pairs=2)
    contest.put_to(JudgeSettings("simulated:exact", 2))
    contest.conclude()
    ready = "document.querySelectorAll('.contest video').length === 2"
    for size in (DESKTOP, PHONE):
        with opened(browser, contest.page, size, ready, color_scheme="dark") as page:
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            before = page.evaluate("getComputedStyle(document.body).backgroundColor")
            page.locator("#scheme").click()
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_versions_play_side_by_side_and_stop_by_one_button(
    browser: Browser, run: Run, tmp_path: Path
) -> None:
    copy, words = tmp_path / "run", f"<b>Calm</b> {'x' * 300}"
    shutil.copytree(run.folder.path, copy)
    write_report(Run.open(copy))
    folder, judge = RunFolder.open(copy), JudgeSettings("simulated:exact", 12)
    say(folder, plan(folder, Change("principle", words), 800, 12, 0), judge)
    Run.open(copy).advance()
    report = write_report(Run.open(copy))
    with opened(browser, report, PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(".version").count() == 2
        newest = page.locator("#version-2").bounding_box()
        assert newest is not None
        assert newest["x"] + newest["width"] <= PHONE[0], "the newest is in sight"
        assert page.locator("#version-2 blockquote").inner_text() == words
        page.locator("#version-2 video").scroll_into_view_if_needed()
        button = page.locator("#pause-versions")
        until(page, "document.getElementById('pause-versions').textContent === 'Pause'")
        button.click()
        assert page.evaluate("[...document.querySelectorAll('.strip video')].every(v => v.paused)")
