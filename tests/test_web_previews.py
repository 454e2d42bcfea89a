"""Previews of the page: a painter paints what it knows, a draft the rest, and the newest choice wins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from PIL import Image

import vggapps
from tests.web_work import SOON, a_device, until  # noqa: F401
from vggapps.image import Picture, open_picture, read_settings
from vggapps.painters import Painter
from vggapps.style import StylizeSettings
from vggapps.web import previews as room
from vggapps.web.device import Device, Heartbeat, Job, Updates
from vggapps.web.files import Results, samples
from vggapps.web.previews import Previews, painted_at_once, preview_settings, until_obsolete
from vggapps.web.running import _loaded


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Painter]:
    """One of the sample styles, with random weights, in place of the installed one."""
    painter = Painter([path.stem for path in samples("style")], channels=8, blocks=1)
    for parameter in painter.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(parameter)))
    _loaded.cache_clear()
    monkeypatch.setattr(room, "samples_painter", lambda: painter.requires_grad_(False).eval())
    yield painter
    _loaded.cache_clear()


@pytest.fixture
def previews(tmp_path: Path) -> Previews:
    return Previews(Results(tmp_path / "room"))


@pytest.fixture
def town(tmp_path: Path) -> Path:
    Image.linear_gradient("L").resize((96, 72)).convert("RGB").save(tmp_path / "town.png")
    return tmp_path / "town.png"


STYLES = [str(path) for path in samples("style")]


def made(previews: Previews, town: Path, weighted: Any, **settings: Any) -> Picture | None:
    given = StylizeSettings(**{"size": 64} | settings)
    return painted_at_once(previews.photo("ann", str(town), given, 1024), weighted, given)


@pytest.mark.parametrize(
    ("weighted", "mixture"),
    [
        ([(STYLES[0], 1.0)], {"mosaic-bird": 1}),
        ([(STYLES[0], 0.5), (STYLES[2], 0.25)], {"mosaic-bird": 2, "starry-hills": 1}),
        ([(STYLES[1], 0.5), (STYLES[3], 1.0), (STYLES[1], 0.5)], {"pointillist-park": 1, "woodcut-waves": 1}),
    ],
)
@pytest.mark.parametrize("asked", [{"strength": 0.3}, {"strength": 1, "colors": "content"}])
def test_samples_are_painted_as_the_function_paint_paints_them(
    previews: Previews, town: Path, painter: Painter, weighted: Any, mixture: Any, asked: Any
) -> None:
    picture = made(previews, town, weighted, **asked)
    wanted = vggapps.paint(painter, town, mixture, size=64, **asked)
    assert picture is not None
    torch.testing.assert_close(picture.rgb, wanted.rgb, atol=1e-5, rtol=0)
    assert picture.settings is not None
    assert picture.settings["settings"] == {  # whose weights are in proportion to these
        **wanted.settings["settings"],  # type: ignore[index]
        "styles": picture.settings["settings"]["styles"],  # type: ignore[index]
    }
    assert picture.settings["inputs"]["content"] == wanted.settings["inputs"]["content"]  # type: ignore[index]


def test_the_name_of_a_file_does_not_matter(previews: Previews, town: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_bytes(Path(STYLES[0]).read_bytes())
    (tmp_path / "mosaic-bird.jpg").write_bytes(town.read_bytes())
    assert made(previews, town, [(str(tmp_path / "mine.jpg"), 1.0)]) is not None
    assert made(previews, town, [(str(tmp_path / "mosaic-bird.jpg"), 1.0)]) is None


@pytest.mark.parametrize("asked", [{"style_weight": 2}, {"style_size": 2}, {"init": "noise"}, {"pooling": "average"}])
def test_what_a_painter_cannot_do_is_left_to_a_draft(previews: Previews, town: Path, asked: Any) -> None:
    assert made(previews, town, [(STYLES[0], 1.0)], **asked) is None


def test_one_painting_that_is_no_sample_makes_a_draft(previews: Previews, town: Path) -> None:
    assert made(previews, town, [(STYLES[0], 1.0), (str(town), 0.1)]) is None


def test_without_a_painter_there_are_drafts(previews: Previews, town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "samples_painter", lambda: None)
    assert made(previews, town, [(STYLES[0], 1.0)]) is None


def test_a_draft_is_no_larger_than_the_picture_and_otherwise_as_asked() -> None:
    settings = StylizeSettings(size=1024, strength=0.8, style_size=2, seed=4)
    small, large = preview_settings(settings, 64), preview_settings(settings, 512)
    assert small.size == 64
    assert 64 < int(large.size) <= 512
    for draft in (small, large):
        assert (draft.strength, draft.style_size, draft.seed) == (0.8, 2, 4)
        assert sum(draft.steps_at(int(draft.size))) < sum(settings.steps_at(1024))


@pytest.mark.parametrize(("asked", "most", "size"), [(64, 1024, 64), (1024, 1024, 512), (256, 128, 128)])
def test_a_photo_is_read_at_the_size_of_its_preview_and_kept(
    previews: Previews, town: Path, asked: int, most: int, size: int
) -> None:
    settings = StylizeSettings(size=asked)
    photo = previews.photo("ann", str(town), settings, most)
    assert photo.picture.size == (round(size * 72 / 96), size)
    assert previews.photo("ann", str(town), settings, most) is photo
    assert previews.photo("ann", STYLES[0], settings, most) is not photo
    previews.clear("ann")
    assert previews.photo("ann", str(town), settings, most) is not photo


def test_the_newest_choice_is_wanted_and_nothing_while_a_picture_is_painted(previews: Previews) -> None:
    assert previews.is_wanted("a program", "anything")  # which asks for each preview by itself
    assert previews.ask("ann", 1)
    assert previews.ask("ann", 2)
    assert previews.ask("bob", 3)
    assert (previews.is_wanted("ann", 1), previews.is_wanted("ann", 2)) == (False, True)
    with previews.suspended("ann"):
        assert not previews.ask("ann", 2)
        assert not previews.is_wanted("ann", 2)
        assert (previews.is_suspended("ann"), previews.is_suspended("bob")) == (True, False)
    assert previews.ask("ann", 4)
    assert previews.is_wanted("bob", 3)


@pytest.mark.parametrize("wanted_for", range(5))
def test_steps_end_when_they_are_obsolete_but_not_before_there_is_something_to_see(wanted_for: int) -> None:
    seen: list[int] = []
    steps: Any = iter(range(4))
    seen.extend(until_obsolete(steps, lambda: len(seen) < wanted_for))  # type: ignore[arg-type]
    assert seen == list(range(min(4, max(1, wanted_for))))


def test_a_draft_makes_way_for_the_next(device: Device, previews: Previews) -> None:
    """Two drafts without end: the first is left when another choice is made, and only then the second begins."""
    order: list[tuple[str, int]] = []
    shown = Event()

    def draft(choice: int) -> Any:
        def work(job: Job) -> Iterator[Updates]:
            order.append(("begins", choice))
            for step in job.iterate(until_obsolete(count(), lambda: previews.is_wanted("ann", choice))):  # type: ignore
                yield {"step": step}
                shown.set()
            order.append(("ends", choice))

        return work

    previews.ask("ann", 1)
    first = device.submit("ann", draft(1)).follow()
    assert any(not isinstance(updates, Heartbeat) for updates in first)
    second = device.submit("ann", draft(2))
    previews.ask("ann", 2)
    list(first)
    assert until(lambda: ("begins", 2) in order)
    assert order == [("begins", 1), ("ends", 1), ("begins", 2)]
    second.stop("left")


def test_of_whole_previews_the_last_two_are_kept_with_their_recipes(previews: Previews) -> None:
    files = previews.files("ann")
    assert previews.files("ann") is files
    assert previews.files("bob").folder != files.folder
    paths = [files.whole_preview(Picture(torch.rand(1, 3, 8, 8), settings={"n": n}), "town") for n in range(4)]
    assert len(set(paths)) == 4
    assert sorted(files.folder.iterdir()) == sorted(map(Path, paths[-2:]))
    assert [read_settings(path) for path in paths[-2:]] == [{"n": 2}, {"n": 3}]
    for old in files.folder.iterdir():
        old.unlink()
    files.folder.rmdir()  # as it expires
    assert previews.files("ann").folder.is_dir()


def test_a_transparent_preview_stays_so(previews: Previews) -> None:
    alpha = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
    path = previews.files("ann").whole_preview(Picture(torch.rand(1, 3, 8, 8), alpha), "town")
    kept = open_picture(path).alpha
    assert kept is not None
    torch.testing.assert_close(kept, alpha, atol=1 / 500, rtol=0)


def test_the_sample_styles_are_the_pictures_that_the_page_offers() -> None:
    from vggapps.image._identity import identify

    assert {identify(path).sha256: Path(path).stem for path in STYLES} == room.sample_styles()
    assert len(STYLES) >= 4
