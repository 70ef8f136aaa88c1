"""The page in a real browser."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.report.page import write_report
from kosum_pl.runs.run import open_run
from tests.report.run_folders import NASTY, ROWS, row

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)")
MakeRun = Callable[..., Path]
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_report(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the report of runs; fails where the page logs anything or asks for anything but itself."""
    heard: list[str] = []
    contexts = []

    def open_page(*folders: Path, width: int = 1280, scheme: str = "light") -> Any:
        path = tmp_path / "report.html"
        write_report(list(map(open_run, folders)), html_file=path, markdown_file=tmp_path / "report.md")
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on(
            "request", lambda asked: heard.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
        )
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []


def ids(page: Any) -> list[str]:
    found: list[str] = page.locator("#list tbody th").all_text_contents()
    return found


def search(page: Any, text: str) -> None:
    page.fill("#search", text)
    page.wait_for_timeout(250)


def test_search_finds_ids_and_texts(make_run: MakeRun, open_report: Open) -> None:
    page = open_report(make_run())
    assert ids(page) == [f"dev_{number}" for number in range(6)]
    for text, expected in (
        ("DEV_3", ["dev_3"]),
        ("많이", ["dev_1"]),
        ("雨", ["dev_2"]),
        ("비가 와요. 5", ["dev_5"]),
        ("</script>", ["dev_4"]),
        ("없는 말", []),
    ):
        search(page, text)
        assert ids(page) == expected
    assert page.locator("#shown").text_content() == "no row fits"


def test_a_slice_is_filtered(make_run: MakeRun, open_report: Open) -> None:
    page = open_report(make_run(rows=[row(number, text="비가 온다.") for number in range(120)]))
    page.select_option("select[data-column=weekday]", "3")
    assert ids(page)[:3] == ["dev_2", "dev_9", "dev_16"]
    assert page.locator("#shown").text_content() == "1–17 of 17 (120 in all)"
    search(page, "dev_16")
    assert ids(page) == ["dev_16"]
    # A row that is linked to is found whatever is filtered.
    page.locator("a[data-find=dev_119]").first.click()
    assert ids(page) == ["dev_119"]
    assert page.locator("select[data-column=weekday]").input_value() == ""


def test_columns_sort_both_ways_and_what_is_not_measured_stays_last(make_run: MakeRun, open_report: Open) -> None:
    page = open_report(make_run(rows=[*ROWS[:3], row(10, text="비", reference=None)]))
    button = page.locator("#list thead button", has_text="sum")
    button.click()
    assert ids(page) == ["dev_2", "dev_1", "dev_0", "dev_10"]
    assert button.locator("..").get_attribute("aria-sort") == "ascending"
    button.click()
    assert ids(page) == ["dev_0", "dev_1", "dev_2", "dev_10"]
    button.click()
    assert ids(page) == ["dev_0", "dev_1", "dev_2", "dev_10"]
    assert button.locator("..").get_attribute("aria-sort") is None
    page.locator("#list thead button", has_text="id").click()
    page.locator("#list thead button", has_text="id").click()
    assert ids(page) == ["dev_10", "dev_2", "dev_1", "dev_0"]


def test_pages_turn(make_run: MakeRun, open_report: Open) -> None:
    page = open_report(make_run(rows=[row(number, text="비가 온다.") for number in range(101)]))
    assert len(ids(page)) == 50
    assert page.locator("#back").is_disabled()
    page.click("#next")
    page.click("#next")
    assert ids(page) == ["dev_100"]
    assert page.locator("#next").is_disabled()
    page.click("#back")
    assert ids(page)[0] == "dev_50"


def test_texts_are_shown_as_they_are(make_run: MakeRun, open_report: Open) -> None:
    page = open_report(make_run())
    shown = page.locator("#list tbody tr").nth(4)
    assert NASTY in shown.locator(".prediction").text_content()
    shown.locator("summary").click()
    assert shown.locator(".dialogue").text_content() == NASTY
    assert page.locator("#planted").count() == 0
    raw = page.locator("#list tbody tr").nth(2)
    raw.locator("summary").click()
    assert raw.locator(".raw").text_content() == "raw: 눈이 雨 온다."


def test_rows_that_the_model_did_not_end_are_marked_and_found(make_run: MakeRun, open_report: Open) -> None:
    page = open_report(make_run(rows=[*ROWS, row(7, text="비가 온다. 눈", reached_eos=False)]))
    assert page.locator("#list .unfinished").count() == 1
    search(page, "[unfinished]")
    assert ids(page) == ["dev_7"]
    assert page.locator("#list .prediction").all_text_contents() == ["비가 온다. 눈 [unfinished]"]


@pytest.mark.parametrize("num_runs", [1, 2])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways(make_run: MakeRun, open_report: Open, width: int, num_runs: int) -> None:
    rows = [*ROWS, row(9, text="가" * 300, example_id="x" * 200, profile={"weekday": "7" * 100})]
    page = open_report(*[make_run(f"demo/{name}", rows=rows) for name in "ab"[:num_runs]], width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_dark_page_for_a_dark_system(make_run: MakeRun, open_report: Open) -> None:
    colors = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    light, dark = (open_report(make_run(), scheme=scheme).evaluate(colors) for scheme in ("light", "dark"))
    assert light == ["rgb(251, 251, 250)", "rgb(28, 30, 33)"]
    assert dark == ["rgb(21, 23, 26)", "rgb(231, 232, 234)"]


def test_two_runs_beside_each_other(make_run: MakeRun, open_report: Open) -> None:
    other = make_run("demo/b", rows=[row(0, text="눈이 온다."), row(8, text="비가 온다.")])
    page = open_report(make_run("demo/a"), other)
    page.locator("#list thead button", has_text="A − B").click()
    first = page.locator("#list tbody tr").first
    assert first.locator("th").text_content() == "dev_0"
    assert first.locator(".prediction").all_text_contents() == ["A 비가 온다.", "B 눈이 온다."]


@pytest.mark.slow
def test_ten_thousand_rows_stay_smooth(make_run: MakeRun, open_report: Open, tmp_path: Path) -> None:
    dialogue = "\n".join(f"#Person{turn % 2 + 1}#: 오늘은 비가 많이 와서 우산을 가져왔어요." for turn in range(10))
    rows = [row(number, text=f"비가 {number}번 온다.", dialogue=dialogue) for number in range(10_000)]
    page = open_report(make_run(rows=rows))
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert page.locator("#list tbody tr").count() == 50
    assert page.evaluate("document.querySelectorAll('*').length") < 10_000
    timing = """text => { const box = document.getElementById("search"); box.value = text;
        const start = performance.now(); box.dispatchEvent(new Event("input"));
        const ended = done => requestAnimationFrame(() => done(performance.now() - start));
        return new Promise(done => setTimeout(() => ended(done), 121)); }"""
    seconds = [round(page.evaluate(timing, text)) for text in ("비가 77", "비가 777", "없는")]
    start = time.perf_counter()
    page.locator("#list thead button", has_text="sum").click()
    sort_ms = 1000 * (time.perf_counter() - start)
    size = (tmp_path / "report.html").stat().st_size
    print(json.dumps({"interactive_ms": ready, "search_ms": seconds, "sort_ms": sort_ms, "mb": size / 1e6}))
    assert ready < 10_000
    assert max(seconds) < 5_000
