"""Remake the screens of docs/web.md: every tab at work, wide, on a phone and in the dark.

    python apps/screenshots.py

needs Chromium and the development packages; takes a few minutes.
"""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from vggapps.web import Limits, served

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
CONTENT, STYLE = ROOT / "assets" / "content", ROOT / "assets" / "style"
LOOKS = {
    "wide": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}


def drop(page: Page, where: str, file: Path) -> None:
    """Put a file on an upload."""
    page.locator(f"#{where} input[type=file]").set_input_files(file)
    page.locator(f"#{where} img").wait_for()


def run(page: Page, button: str, tab: str) -> None:
    """Press a button, and wait until it is done."""
    page.get_by_role("button", name=button, exact=True).click()
    finished = re.compile("^100 % · (?!preview)")  # the preview of a painting is there before
    expect(page.locator(f"#{tab}-status .status")).to_have_text(finished, timeout=300_000)
    page.wait_for_timeout(1500)
    page.mouse.move(0, 0)


def stylize(page: Page) -> None:
    """A village by night, half of it."""
    drop(page, "content", CONTENT / "village.jpg")
    drop(page, "style", STYLE / "starry-hills.jpg")
    run(page, "Paint", "stylize")
    page.locator("#show").get_by_text("Half and half").click()
    page.wait_for_timeout(800)


def classify(page: Page) -> None:
    """A cat."""
    drop(page, "classify-image", CONTENT / "cat.jpg")
    run(page, "Name it", "classify")


def explain(page: Page) -> None:
    """Why it is one."""
    drop(page, "explain-image", CONTENT / "cat.jpg")
    run(page, "Explain", "explain")


def visualize(page: Page) -> None:
    """A channel."""
    page.get_by_label("number input for Channel").fill("29")
    page.get_by_label("number input for Channel").press("Tab")
    run(page, "Visualize", "visualize")


def compare(page: Page) -> None:
    """A picture and what is left of it."""
    worse = io.BytesIO()
    with Image.open(CONTENT / "village.jpg") as image:
        image.save(worse, "JPEG", quality=8)
    drop(page, "a", CONTENT / "village.jpg")
    page.locator("#b input[type=file]").set_input_files(
        {"name": "squeezed.jpg", "mimeType": "image/jpeg", "buffer": worse.getvalue()}
    )
    page.locator("#b img").wait_for()
    run(page, "Compare", "compare")


TABS = {"Stylize": stylize, "Classify": classify, "Explain": explain, "Visualize": visualize, "Compare": compare}


def shoot(browser: Browser, url: str, look: str) -> None:
    """Go through all tabs."""
    page = browser.new_context(**LOOKS[look]).new_page()
    page.goto(url)
    page.get_by_role("button", name="Paint", exact=True).wait_for()
    for tab, work in TABS.items():
        page.get_by_role("tab", name=tab, exact=True).click()
        work(page)
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
        target = IMAGES / f"{tab.lower()}-{look}.jpg"
        shot.save(target, quality=82, optimize=True)
        print(target.relative_to(ROOT))


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with served(Limits()) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        for look in LOOKS:
            shoot(browser, site.url, look)
