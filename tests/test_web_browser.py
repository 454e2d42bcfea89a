"""The page as visitors have it: a real browser, real pictures, the installed network at small sizes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from PIL import Image

from tests.browsing import (
    ARGUMENTS,
    CHROMIUM,
    MARKS,
    PATIENCE,
    ROOT,
    browser,
    choose_number,
    drop,
    open_tab,
    playwright,
    prepare,
    press,
    site,
    status,
    toast,
    visit,
)  # fmt: skip
from vggapps.image import read_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from vggapps.web import Served

__all__ = ["browser", "playwright", "site"]  # fixtures
pytestmark = MARKS
CAT = ROOT / "assets" / "content" / "cat.jpg"


def test_a_photo_is_painted_before_the_visitors_eyes(browser: Browser, site: Served, tmp_path: Path) -> None:
    """Previews that change, a result with a slider and a keyboard for it, a file whose settings come back."""
    from playwright.sync_api import expect

    page = visit(browser, site)
    hosts, errors = set[str](), list[str]()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else ""))
    page.on("pageerror", lambda error: errors.append(str(error)))
    prepare(page, 160, 60)
    choose_number(page, "Strength", 0.7)  # type: ignore[arg-type]
    press(page, "Paint")
    previews = set()
    while not page.locator("#both img").count():
        previews.add(page.evaluate("document.querySelector('#painted img')?.src"))
        page.wait_for_timeout(50)
    assert len(previews - {None}) >= 3
    status(page, "stylize", "^100 % · done in")
    expect(page.locator("#visit img")).to_have_count(1)
    expect(page.locator("#visit img")).to_have_attribute("alt", "village_by_starry-hills")
    assert [image.get_attribute("alt") for image in page.locator("#both img").all()] == ["the photo", "the painting"]

    page.locator("#show input").last.focus()
    handle = page.locator("#both .outer").first if page.locator("#both .outer").count() else page.locator("#both")
    before = handle.screenshot()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Half and half")).to_be_checked()
    page.wait_for_timeout(500)
    assert handle.screenshot() != before

    with page.expect_download() as download:
        page.locator("#stylize-download").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "village_by_starry-hills.png"
    with Image.open(file) as image:
        assert max(image.size) == 160
    found = read_settings(file)
    assert found is not None
    assert found["settings"]["strength"] == 0.7  # type: ignore[index]
    assert [found["inputs"]["content"][0]["name"], found["interrupted"]] == ["village.jpg", False]  # type: ignore[index]

    choose_number(page, "Strength", 0.2)  # type: ignore[arg-type]
    drop(page, "recorded", file)
    expect(page.get_by_label("number input for Strength")).to_have_value("0.7")
    assert hosts == {site.url.split("/")[2]}
    assert errors == []
    page.context.close()


def test_stop_keeps_the_picture(browser: Browser, site: Served, tmp_path: Path) -> None:
    page = visit(browser, site)
    prepare(page, 512, 300)
    press(page, "Paint")
    status(page, "stylize", r"step \d+ of 300")
    press(page, "Stop")
    status(page, "stylize", "^100 % · stopped after .* the picture is kept$")
    with page.expect_download() as download:
        page.locator("#stylize-download").click()
    found = read_settings(download.value.path())
    assert found is not None
    assert found["interrupted"] is True
    page.context.close()


def test_pictures_are_classified_explained_visualized_and_compared(
    browser: Browser, site: Served, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    page = visit(browser, site)
    open_tab(page, "Classify")
    drop(page, "classify-image", CAT)
    press(page, "Name it")
    status(page, "classify", "^100 % · by ")
    expect(page.locator("#classes")).to_contain_text("Egyptian cat")
    expect(page.locator("#classify-why img")).to_be_visible()

    open_tab(page, "Explain")
    drop(page, "explain-image", CAT)
    page.get_by_role("button", name="More").locator("visible=true").click()
    expect(page.get_by_label("Samples")).to_have_value("")  # which is not 0
    press(page, "Explain")
    status(page, "explain", "^100 %")
    assert "Egyptian cat" in page.get_by_label("Answer").input_value()
    with page.expect_download() as download:
        page.locator("#explain-download").click()
    found = read_settings(download.value.path())
    assert found is not None
    assert found["target"] == "class:Egyptian cat"

    open_tab(page, "Visualize")
    page.get_by_label("Layer").locator("visible=true").first.click()
    page.get_by_role("option", name="conv2_1", exact=True).click()
    expect(page.locator("#channel input[type=range]")).to_have_attribute("max", "127")
    choose_number(page, "Channel", 3)
    choose_number(page, "Steps", 24)
    press(page, "Visualize")
    status(page, "visualize", "^100 %")
    assert page.get_by_label("Activation").input_value().startswith("conv2_1:3: ")

    open_tab(page, "Compare")
    worse = tmp_path / "worse.jpg"
    with Image.open(CAT) as image:
        image.save(worse, quality=5)
    drop(page, "a", CAT)
    drop(page, "b", worse)
    press(page, "Compare")
    status(page, "compare", "^100 % · yellow is the maximum")
    expect(page.locator("#distances")).to_contain_text("PSNR (dB)")
    expect(page.locator("#heat img")).to_be_visible()
    page.context.close()


def test_two_visitors_wait_for_one_another_and_see_nothing_of_each_other(browser: Browser, site: Served) -> None:
    from playwright.sync_api import expect

    first, second = visit(browser, site), visit(browser, site)
    prepare(first, 512, 300)
    prepare(second, 64, 8)
    press(first, "Paint")
    status(first, "stylize", r"step \d+ of 300")
    press(second, "Paint")
    status(second, "stylize", "^0 % · waiting: one visitor is before you$")
    press(second, "Stop")
    expect(second.get_by_test_id("toast-body").first).to_contain_text("Stopped before there was anything to show")
    press(second, "Paint")
    status(second, "stylize", "waiting")
    press(first, "Stop")
    status(first, "stylize", "stopped")
    status(second, "stylize", "^100 % · done")
    for page, steps in ((first, "300"), (second, "8")):
        expect(page.locator("#visit img")).to_have_count(1)
        with page.expect_download() as download:
            page.locator("#stylize-download").click()
        assert str(read_settings(download.value.path())["settings"]["steps"]) == steps  # type: ignore[index]
        page.context.close()


def odd(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no pictures for this page, and what it says of them."""
    text = folder / "notes.jpg"
    text.write_text("Dear diary, today I was uploaded as a picture.")
    many = folder / "many.png"
    Image.new("1", (10_000, 8_000)).save(many)
    return {"text": (text, "it is text, not a picture"), "80 megapixels": (many, "too large: 10000x8000 pixels")}


def test_what_is_no_picture_is_told_in_a_sentence(browser: Browser, site: Served, tmp_path: Path) -> None:
    page = visit(browser, site)
    open_tab(page, "Classify")
    for file, reason in odd(tmp_path).values():
        page.locator("#classify-image input[type=file]").set_input_files(file)
        said = toast(page)
        assert reason in said
        assert "/" not in said
        page.get_by_label("Drop an image file here to upload").locator("visible=true").wait_for()  # it is taken away
    half = tmp_path / "half.jpg"
    half.write_bytes(CAT.read_bytes()[:20_000])
    drop(page, "classify-image", half)
    press(page, "Name it")
    assert "half.jpg: it is damaged or cut short" in toast(page)
    status(page, "classify", "damaged or cut short")
    page.context.close()


def test_cmyk_and_transparent_pictures_are_pictures(browser: Browser, site: Served, tmp_path: Path) -> None:
    with Image.open(CAT) as image:
        small = image.resize((120, 80))
    small.convert("CMYK").save(tmp_path / "print.jpg")
    small.putalpha(small.convert("L"))
    small.save(tmp_path / "logo.png")
    page = visit(browser, site)
    prepare(page, 64, 6)
    for name in ("print.jpg", "logo.png"):
        page.locator("#content").get_by_label("Remove Image").click()
        drop(page, "content", tmp_path / name)
        press(page, "Paint")
        page.locator("#both").wait_for(state="detached")
        page.locator("#both img").first.wait_for()
        status(page, "stylize", "^100 % · done")
        with page.expect_download() as download:
            page.locator("#stylize-download").click()
        with Image.open(download.value.path()) as image:
            assert image.mode == ("RGBA" if name == "logo.png" else "RGB")
    page.context.close()


def test_a_path_that_was_never_uploaded_is_refused(browser: Browser, site: Served) -> None:
    page = visit(browser, site)
    answer = page.evaluate(
        """async (path) => {
            const call = await fetch("/gradio_api/call/classify", {method: "POST",
                headers: {"Content-Type": "application/json"},
                body: JSON.stringify({data: [{path}, 5, "center", "auto"]})});
            const {event_id} = await call.json();
            return await (await fetch(`/gradio_api/call/classify/${event_id}`)).text();
        }""",
        str(CAT),
    )
    assert "event: error" in answer
    assert "was not uploaded here" in answer
    assert str(CAT.parent) not in answer
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(browser: Browser, site: Served, scheme: str) -> None:
    page = visit(browser, site, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    for tab in ("Stylize", "Classify", "Explain", "Visualize", "Compare"):
        open_tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, tab
    page.context.close()


def test_a_browser_that_is_killed_frees_the_device_for_the_next(
    playwright: Playwright, browser: Browser, site: Served, tmp_path: Path
) -> None:
    doomed = playwright.chromium.launch_persistent_context(
        str(tmp_path / "doomed"), executable_path=CHROMIUM, args=ARGUMENTS
    )
    page = doomed.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(site.url)
    prepare(page, 512, 16)
    press(page, "Paint")
    status(page, "stylize", r"256 x \d+ px")
    assert len(site.page.device) == 1
    for process in psutil.process_iter(["cmdline"]):
        if any(str(tmp_path / "doomed") in word for word in process.info["cmdline"] or []):
            process.kill()
    began = time.monotonic()
    while len(site.page.device) and time.monotonic() - began < 30:
        time.sleep(0.02)
    assert time.monotonic() - began < 5  # two seconds are promised; the machine of a test may be busy
