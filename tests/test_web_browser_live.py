"""Previews while a visitor chooses, in a real browser, and two visitors who do not wait for one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.browsing import (
    MARKS,
    PATIENCE,
    ROOT,
    browser,
    choose_number,
    choose_steps,
    drop,
    open_tab,
    playwright,
    press,
    site,
    status,
    visit,
)
from vggapps.image import read_settings
from vggapps.painters import Painter
from vggapps.style import StylizeSettings
from vggapps.web import painting, previews
from vggapps.web.files import samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from vggapps.web import Served

__all__ = ["browser", "playwright", "site"]  # fixtures
pytestmark = MARKS
VILLAGE, CAT = (ROOT / "assets" / "content" / f"{name}.jpg" for name in ("village", "cat"))


def quick_draft(settings: StylizeSettings, size: int) -> StylizeSettings:
    return replace(settings, size=min(64, size), steps=3)


@pytest.fixture(scope="module", autouse=True)
def quick_previews() -> Iterator[None]:
    """A painter of the samples that is small, and drafts that are."""
    from playwright.sync_api import expect

    painter = Painter([path.stem for path in samples("style")], channels=8, blocks=1)
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(parameter)))
    painter.requires_grad_(False).eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(previews, "samples_painter", lambda: painter)
        patch.setattr(painting, "preview_settings", quick_draft)
        expect.set_options(timeout=PATIENCE)
        yield
        expect.set_options(timeout=5_000)  # Playwright's


def choose(page: Page, kind: str, number: int) -> None:
    """Click one of the samples."""
    page.locator(f"#{kind}-examples .gallery-item").nth(number).click()
    page.locator(f"#{kind} img").wait_for()


def downloaded(page: Page) -> dict[str, Any]:
    """The recipe of the file that the page offers."""
    with page.expect_download() as download:
        page.locator("#stylize-download").click()
    found: Any = read_settings(download.value.path())
    return {**found, "name": download.value.suggested_filename}


def source(page: Page) -> str | None:
    found: str | None = page.evaluate("document.querySelector('#painted img')?.src ?? null")
    return found


def test_a_picture_is_painted_while_the_slider_moves_and_then_made_fine(browser: Browser, site: Served) -> None:
    from playwright.sync_api import expect

    page, errors = visit(browser, site), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    choose_number(page, "Size", 64)
    drop(page, "content", VILLAGE)
    expect(page.get_by_role("button", name="Make it fine")).to_have_count(0)
    choose(page, "style", 2)
    status(page, "stylize", "^100 % · preview of 64 x 48 px")
    assert downloaded(page)["settings"]["styles"] == ["starry-hills:1.0"]

    bar = page.get_by_label("range slider for Strength").bounding_box()
    assert bar is not None
    middle, seen = bar["y"] + bar["height"] / 2, {source(page)}
    page.mouse.move(bar["x"] + bar["width"] / 2, middle)
    page.mouse.down()
    for part in range(40):
        page.mouse.move(bar["x"] + bar["width"] * (0.5 - part / 100), middle)
        page.wait_for_timeout(50)
        seen.add(source(page))
        if len(seen) >= 4:  # the first, and three while the mouse moves
            break
    page.mouse.up()
    assert len(seen) >= 4
    chosen = float(page.get_by_label("number input for Strength").input_value())
    assert chosen < 0.5
    last = "not yet"
    while last != source(page):
        last = str(source(page))
        page.wait_for_timeout(1000)
    assert downloaded(page)["settings"]["strength"] == chosen

    choose(page, "style", 3)
    expect(page.locator("#painted img")).not_to_have_attribute("src", last)
    preview = downloaded(page)
    assert preview["settings"]["styles"] == ["woodcut-waves:1.0"]
    assert preview["name"].startswith("village_by_woodcut-waves_preview-")
    expect(page.locator("#visit img")).to_have_count(0)  # of finished pictures

    choose_steps(page, 6)
    press(page, "Make it fine")
    status(page, "stylize", "^100 % · done in")
    expect(page.locator("#visit img")).to_have_count(1)
    expect(page.get_by_role("button", name="Make it fine")).to_have_count(0)
    made = downloaded(page)
    assert made["name"] == "village_by_woodcut-waves.png"
    assert made["settings"]["init"] == preview["name"]
    assert made["preview"]["settings"] == preview["settings"]
    assert errors == []
    page.context.close()


def test_a_painting_of_ones_own_is_drafted_and_only_if_the_box_is_ticked(browser: Browser, site: Served) -> None:
    from playwright.sync_api import expect

    page = visit(browser, site)
    page.get_by_label("Paint while I choose").uncheck()
    drop(page, "content", VILLAGE)
    drop(page, "style", CAT)
    choose_number(page, "Strength", 0.7)  # type: ignore[arg-type]
    page.wait_for_timeout(1000)
    assert source(page) is None
    page.get_by_label("Paint while I choose").check()
    status(page, "stylize", "^100 % · preview of 64 x 48 px")
    draft = downloaded(page)
    assert (draft["settings"]["strength"], draft["settings"]["steps"]) == (0.7, 3)
    assert draft["inputs"]["styles"][0]["name"] == "cat.jpg"
    page.get_by_role("button", name="Mix several paintings").click()
    choose_number(page, "Share of the painting above", 0)
    page.wait_for_timeout(500)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)  # nothing was asked for
    page.context.close()


def test_what_is_no_picture_is_told_once_and_previewed_never(browser: Browser, site: Served, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    (tmp_path / "notes.jpg").write_text("Dear diary, today I was uploaded as a picture.")
    page = visit(browser, site)
    choose(page, "style", 0)
    page.locator("#content input[type=file]").set_input_files(tmp_path / "notes.jpg")
    expect(page.get_by_test_id("toast-body")).to_have_count(1)
    page.wait_for_timeout(1000)
    expect(page.get_by_test_id("toast-body")).to_have_count(1)
    expect(page.get_by_test_id("toast-body")).to_contain_text("it is text, not a picture")
    assert source(page) is None
    page.context.close()


def test_nobody_waits_behind_a_long_painting_which_ends_with_its_picture(
    browser: Browser, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The painting of the first stands at its tenth step until the second has everything."""
    from playwright.sync_api import expect

    served, start = Event(), painting.started

    def held(job: Any, photo: Any, weighted: Any, settings: StylizeSettings, size: int) -> Iterator[Any]:
        for step in start(job, photo, weighted, settings, size):
            yield step
            if step.index == 10:
                served.wait(100)

    monkeypatch.setattr(painting, "started", held)
    first, second = visit(browser, site), visit(browser, site)
    for page in (first, second):
        choose_number(page, "Size", 64)
        drop(page, "content", VILLAGE)
        choose(page, "style", 1)
        status(page, "stylize", "^100 % · preview")
    choose_steps(first, 30)
    press(first, "Paint")
    status(first, "stylize", r"step \d+ of 30")
    choose_number(first, "Strength", 0.6)  # type: ignore[arg-type] # previews do not hide the picture in the making

    choose_number(second, "Strength", 0.9)  # type: ignore[arg-type]
    expect(second.locator("#painted img")).not_to_have_attribute("src", str(source(second)))
    open_tab(second, "Classify")
    drop(second, "classify-image", CAT)
    press(second, "Name it")
    status(second, "classify", "^100 % · by ")
    expect(second.locator("#classes")).to_contain_text("Egyptian cat")
    assert "of 30" in status(first, "stylize", ".")  # it is not done

    served.set()
    status(first, "stylize", "^100 % · done in")
    made = downloaded(first)
    assert (made["settings"]["steps"], made["settings"]["strength"], made["interrupted"]) == (30, 0.5, False)
    expect(first.locator("#both img")).to_have_count(2)
    for page in (first, second):
        page.context.close()
