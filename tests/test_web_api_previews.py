"""Previews and what goes on from them, as a program has them; and quick work while a long painting runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

import vggapps
from tests.web_site import GRADIOS_OWN, PATIENCE, Visit, a_client, a_site, a_visit, file, loops_closed, some_pictures  # noqa: F401
from tests.web_work import until
from vggapps.image import open_picture, read_settings
from vggapps.optimize._step import last
from vggapps.painters import Painter
from vggapps.style import StylizeSettings, stylize_steps
from vggapps.style._styles import open_style
from vggapps.web import painting, previews
from vggapps.web.files import samples

if TYPE_CHECKING:
    from gradio_client import Client

    from vggapps.web import Served

pytestmark = GRADIOS_OWN
WAVES = samples("style")[-1]


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> Painter:
    painter = Painter([path.stem for path in samples("style")], channels=8, blocks=1)
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(parameter)))
    painter.requires_grad_(False).eval()
    monkeypatch.setattr(previews, "samples_painter", lambda: painter)
    return painter


@pytest.fixture(autouse=True)
def free_afterwards(site: Served) -> Iterator[None]:
    yield
    assert until(lambda: not len(site.page.device) and not len(site.page.quick))


def quick_draft(settings: StylizeSettings, size: int) -> StylizeSettings:
    return replace(settings, size=min(32, size), steps=3)


def test_a_sample_style_is_previewed_by_the_painter(client: Client, pictures: Path, painter: Painter) -> None:
    shown, download, line = client.predict(
        file(pictures / "town.png"), file(WAVES), size=64, strength=0.9, api_name="/preview"
    )
    wanted = vggapps.paint(painter, pictures / "town.png", WAVES.stem, size=64, strength=0.9)
    close = (open_picture(shown).rgb - wanted.rgb).abs()
    assert close.mean() < 0.02  # a JPEG
    assert Path(shown).read_bytes() == Path(download).read_bytes()
    told = read_settings(shown)
    assert told is not None
    assert told["settings"] == {**wanted.settings["settings"], "styles": [f"{WAVES.stem}:1.0"]}  # type: ignore[index]
    assert "preview of 64 x 48 px" in line


def test_another_painting_is_previewed_by_a_draft(
    client: Client, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "preview_settings", quick_draft)
    town, waves = pictures / "town.png", pictures / "waves.png"
    job = client.submit(file(town), file(waves), size=64, strength=0.9, api_name="/preview")
    shown, _, line = job.result(PATIENCE)
    wanted = last(stylize_steps(town, waves, size=32, steps=3, strength=0.9)).image()
    assert (open_picture(shown).rgb - wanted).abs().mean() < 0.02
    assert read_settings(shown)["settings"]["steps"] == 3  # type: ignore[index]
    assert "preview of 32 x 24 px" in line


def test_a_full_picture_goes_on_from_the_preview_and_says_so(client: Client, pictures: Path) -> None:
    town, waves = pictures / "town.png", WAVES
    shown, _, _ = client.predict(file(town), file(waves), size=64, api_name="/preview")
    made, _, download, line, *_ = client.predict(file(town), file(waves), size=64, steps=3, api_name="/refine")
    style = open_style(waves, 64, 1.0)
    begun, fresh = (
        last(stylize_steps(town, style, size=64, steps=3, init=init)).image() for init in (str(shown), "content")
    )
    torch.testing.assert_close(open_picture(download).rgb, begun, atol=1 / 255, rtol=0)
    assert (begun - fresh).abs().mean() > 0.02
    told = read_settings(made)
    assert told is not None
    assert told["settings"]["init"] == told["inputs"]["init"][0]["name"]  # type: ignore[index]
    assert told["inputs"]["init"][0]["name"].startswith(f"town_by_{waves.stem}_preview-")  # type: ignore[index]
    assert told["preview"] == read_settings(shown)
    assert "done" in line


def test_there_is_no_going_on_without_a_preview_of_this_photo(visit: Visit, pictures: Path) -> None:
    from gradio_client.exceptions import AppError

    client, short = visit(), {"size": 32, "steps": 2, "api_name": "/refine"}
    town, rocks = file(pictures / "town.png"), file(pictures / "rocks.png")
    with pytest.raises(AppError, match="There is no preview of this photo to go on from"):
        client.predict(town, file(WAVES), **short)
    client.predict(town, file(WAVES), size=64, api_name="/preview")
    with pytest.raises(AppError, match="There is no preview of this photo to go on from"):
        client.predict(rocks, file(WAVES), **short)
    with pytest.raises(AppError, match="There is no preview of this photo to go on from"):
        visit().predict(town, file(WAVES), **short)  # another visitor


@pytest.mark.parametrize("given", [[None, None], ["town.png", None]])
def test_a_preview_needs_both_pictures(client: Client, pictures: Path, given: list[str | None]) -> None:
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="A photo and a painting are needed"):
        client.predict(*[name and file(pictures / name) for name in given], api_name="/preview")


def test_quick_work_of_others_is_done_while_a_long_painting_runs(site: Served, visit: Visit, pictures: Path) -> None:
    from gradio_client.exceptions import AppError

    ann, bob = visit(), visit()
    town, waves = file(pictures / "town.png"), file(pictures / "waves.png")
    painted = ann.submit(town, waves, size=64, steps=400, api_name="/stylize")
    assert until(lambda: any(output[0] for output in painted.outputs()), PATIENCE)
    results: list[Any] = [
        bob.predict(town, api_name="/classify"),
        bob.predict(town, file(WAVES), size=64, api_name="/preview"),
        bob.predict(town, api_name="/explain"),
        bob.predict(town, town, api_name="/compare"),
    ]
    assert all("100 %" in result[-1] for result in results)
    with pytest.raises(AppError, match="Your picture is being painted"):
        ann.predict(town, file(WAVES), size=64, api_name="/preview")
    assert not painted.done()
    waiting = bob.submit("conv2_1", 3, size=32, steps=4, api_name="/visualize")  # is long
    assert until(lambda: any("waiting: one visitor" in output[-1] for output in waiting.outputs()), PATIENCE)
    ann.predict(api_name="/stop")
    with Image.open(painted.result(PATIENCE)[0]) as kept:
        assert kept.size == (64, 48)
    assert "done" in waiting.result(PATIENCE)[-1]


def test_a_draft_is_stopped_with_what_is_there_and_left_by_who_cancels(
    site: Served, visit: Visit, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painting, "preview_settings", lambda settings, _: replace(settings, size=64, steps=400))
    client, given = visit(), [file(pictures / name) for name in ("town.png", "waves.png")]
    stopped = client.submit(*given, size=64, api_name="/preview")
    assert until(lambda: any(isinstance(output[0], str) for output in stopped.outputs()), PATIENCE)
    client.predict(api_name="/stop")
    shown, _, line = stopped.result(PATIENCE)
    assert read_settings(shown)["interrupted"] is True  # type: ignore[index]
    assert "preview of 64 x 48 px" in line
    left = client.submit(*given, size=64, api_name="/preview")
    assert until(lambda: any(isinstance(output[0], str) for output in left.outputs()), PATIENCE)
    left.cancel()
    assert until(lambda: not len(site.page.quick))


def test_previews_of_a_visitor_are_few_files(site: Served, visit: Visit, pictures: Path) -> None:
    client, there = visit(), set(site.page.results.folder.glob("run-*"))
    for strength in (0.2, 0.4, 0.6, 0.8):
        client.predict(file(pictures / "town.png"), file(WAVES), size=64, strength=strength, api_name="/preview")
    (folder,) = set(site.page.results.folder.glob("run-*")) - there
    assert len(list(folder.iterdir())) == 2
    site.page.leave(client.session_hash)
    assert not folder.exists()
