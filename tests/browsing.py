"""A real browser on a real page: Debian's Chromium, driven by Playwright, and what visitors do with their hands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

    from vggapps.web import Served

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
MARKS = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
    # gradio's own, in the threads of its server
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning",
        "ignore:.*no_silent_downcasting",
        "ignore:The copy keyword is deprecated",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]
PATIENCE = 60_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    """The page, for all tests of a file."""
    from vggapps.web import Limits, served

    with served(Limits(max_seconds=100)) as site:
        yield site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


def visit(browser: Browser, site: Served, **how: Any) -> Page:
    """A new visitor, who has nothing in common with others."""
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | how).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(site.url)
    page.get_by_role("button", name="Paint", exact=True).wait_for()
    return page


def drop(page: Page, where: str, file: Path) -> None:
    """Put a file on an upload."""
    page.locator(f"#{where} input[type=file]").set_input_files(file)
    page.locator(f"#{where} img").wait_for()


def press(page: Page, name: str) -> None:
    """Press a button, when it is there."""
    page.get_by_role("button", name=name, exact=True).click()


def choose_number(page: Page, label: str, number: int) -> None:
    """Type a number beside a slider."""
    box = page.get_by_label(f"number input for {label}").locator("visible=true")
    box.fill(str(number))
    box.press("Tab")


def open_tab(page: Page, name: str) -> None:
    """Go to another tab."""
    page.get_by_role("tab", name=name, exact=True).click()
    page.locator(f"#tab-{name.lower()}").locator("visible=true").wait_for()


def status(page: Page, tab: str, wanted: str) -> str:
    """Wait until a tab's status is of this pattern; all of it."""
    from playwright.sync_api import expect

    line = page.locator(f"#{tab}-status .status")
    expect(line).to_have_text(re.compile(wanted), timeout=PATIENCE)
    return line.inner_text()


def prepare(page: Page, size: int, steps: int) -> None:
    """Choose a photo, a painting and how long it takes; no previews."""
    page.get_by_label("Paint while I choose").uncheck()
    drop(page, "content", ROOT / "assets" / "content" / "village.jpg")
    drop(page, "style", ROOT / "assets" / "style" / "starry-hills.jpg")
    choose_number(page, "Size", size)
    choose_steps(page, steps)


def choose_steps(page: Page, steps: int) -> None:
    """Type the number of steps, which is under *More*."""
    box = page.locator("#tab-stylize").get_by_label("Steps", exact=True)
    if not box.count():
        page.locator("#tab-stylize").get_by_role("button", name="More").click()
    box.fill(str(steps))
    box.press("Tab")


def toast(page: Page) -> str:
    """The first message that pops up; it is closed afterwards."""
    body = page.get_by_test_id("toast-body").first
    text = body.inner_text()
    page.get_by_test_id("toast-close").first.click()
    body.wait_for(state="detached")
    return text
