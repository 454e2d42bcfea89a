"""What the tab for style transfer does: paint a photo, preview it, and go on from a preview."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradio.components import Component

from vggapps.errors import SettingsError
from vggapps.style._settings import StylizeSettings
from vggapps.web.controls import Controls
from vggapps.web.device import Job, Refused, Updates
from vggapps.web.files import SHOWN, RunFiles
from vggapps.web.previews import painted_at_once, preview_settings, until_obsolete
from vggapps.web.running import Page, drained, ending, network

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize._step import Step

PAINTINGS = (("style", "share"), ("second_style", "second_share"), ("third_style", "third_share"))
CHOSEN = ("content", *(name for pair in PAINTINGS for name in pair), "strength", "colors")  # what is previewed
Weighted = Sequence[tuple[str, float]]  # files of paintings and their weights


def weighted_of(given: Mapping[str, Any]) -> Weighted:
    """The paintings with a weight.

    Raises:
        SettingsError: there is no photo, or no painting.
    """
    found = [(given[style], given[share]) for style, share in PAINTINGS if given[style] is not None and given[share]]
    if given["content"] is None or not found:
        raise SettingsError("a photo and a painting are needed", "drop one of each, or choose an example")
    return found


@dataclass(frozen=True, eq=False)
class Painting:
    """The work of the tab, and the components that it updates.

    Attributes:
        page: the page.
        controls: of the settings.
        status: the status line.
        result: the picture.
        both: the photo and the picture, to compare.
        download: the button for the file.
        visit: the pictures of this visit.
        seen: the last preview, ``{"content": photo, "path": preview}``.
    """

    page: Page
    controls: Controls[StylizeSettings]
    status: Component
    result: Component
    both: Component
    download: Component
    visit: Component
    seen: Component

    def stylize(self, job: Job, files: RunFiles, **given: Any) -> Iterator[Updates]:
        """Paint a photo in the style of one painting or several: previews, then the result."""
        return self._paint(job, files, self.controls.read(given), given)

    def refine(self, job: Job, files: RunFiles, *, seen: Mapping[str, str] | None, **given: Any) -> Iterator[Updates]:
        """Paint a photo in full, going on from this session's last preview of it: previews, then the result."""
        settings = self.controls.read(given)
        if seen is None or seen["content"] != given["content"] or not Path(seen["path"]).exists():
            raise SettingsError("there is no preview of this photo to go on from", "paint one, or press Paint")
        return self._paint(job, files, replace(settings, init=seen["path"]), given)

    def preview(self, job: Job, files: RunFiles, **given: Any) -> Iterator[Updates]:
        """Paint a small picture: at once in the style of the samples, within seconds in that of other paintings."""
        settings, weighted = self.controls.read(given), weighted_of(given)
        choice = tuple(given[name] for name in CHOSEN)
        if self.page.previews.is_suspended(job.session):
            raise Refused("your picture is being painted", "wait until it is done, or stop it")

        def is_wanted() -> bool:
            return self.page.previews.is_wanted(job.session, choice)

        began = time.monotonic()
        photo = self.page.previews.photo(job.session, given["content"], settings, self.page.limits.max_size)
        made = job.call(lambda: painted_at_once(photo, weighted, settings))
        if made is None:
            draft = preview_settings(settings, photo.size)
            steps = until_obsolete(started(job, photo.picture, weighted, draft, int(draft.size)), is_wanted)
            step = yield from self._drained(job, files, photo.picture, steps)
            if not is_wanted():
                return
            made = replace(photo.picture.with_rgb(step.full_image()), settings=_recipe(draft, given, weighted, step))
        if self.page.previews.is_suspended(job.session):
            return
        path = files.whole_preview(made, f"{_name(given, weighted)}_preview")
        height, width = made.size
        yield {
            self.result: path,
            self.download: path,
            self.status: f"100 % · preview of {width} x {height} px, made in {time.monotonic() - began:.1f} s",
            self.seen: {"content": given["content"], "path": path},
        }

    def _paint(
        self, job: Job, files: RunFiles, settings: StylizeSettings, given: Mapping[str, Any]
    ) -> Iterator[Updates]:
        from vggapps.image import fit, resize
        from vggapps.style._styles import open_photo

        weighted = weighted_of(given)
        yield {self.status: "0 % · reading the pictures"}
        photo, size = open_photo(given["content"], settings)
        self.page.limits.check_work(size, sum(settings.steps_at(size)))
        step = yield from self._drained(job, files, photo, started(job, photo, weighted, settings, size))
        picture, name = photo.with_rgb(step.full_image()), _name(given, weighted)
        path = files.save(picture, name, _recipe(settings, given, weighted, step))
        small = fit(*picture.size, SHOWN)
        slides = files.thumbnail(replace(photo, rgb=resize(photo.rgb, small), alpha=None)), files.thumbnail(picture)
        yield {
            self.result: path,
            self.both: slides,
            self.download: path,
            self.status: ending(job, step.seconds),
            self.visit: [{"path": path, "slides": slides, "name": name}, *given["visit"]],
        }

    def _drained(
        self, job: Job, files: RunFiles, photo: Picture, steps: Iterator[Step]
    ) -> Generator[Updates, None, Step]:
        def shown(step: Step) -> Updates:
            return {self.result: files.preview(photo.with_rgb(step.full_image()))}

        return drained(job, steps, self.status, shown)


def started(job: Job, photo: Picture, weighted: Weighted, settings: StylizeSettings, size: int) -> Iterator[Step]:
    """The steps of style transfer from uploaded files."""
    from vggapps.style._styles import open_style
    from vggapps.style._transfer import stylize_steps

    paintings = [(open_style(path, size, settings.style_size), weight) for path, weight in weighted]
    vgg = network(settings)
    return job.call(lambda: stylize_steps(photo, paintings, settings, vgg=vgg, size=size))


def _recipe(settings: StylizeSettings, given: Mapping[str, Any], weighted: Weighted, step: Step) -> dict[str, Any]:
    """The recipe of a picture; one that began with a preview also has the recipe of that."""
    from vggapps.image import read_settings
    from vggapps.image._identity import identify
    from vggapps.image._recipe import identify_files
    from vggapps.style._recipe import recipe

    used = [(identify(path), weight) for path, weight in weighted]
    files = identify_files(settings)
    made = recipe(settings, identify(given["content"]), used, files) | {"interrupted": step.index < step.total}
    return made | ({"preview": read_settings(settings.init)} if "init" in files else {})


def _name(given: Mapping[str, Any], weighted: Weighted) -> str:
    return f"{Path(given['content']).stem}_by_" + "_".join(Path(path).stem for path, _ in weighted)
