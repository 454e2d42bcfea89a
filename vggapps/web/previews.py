"""Previews of style transfer while a visitor still chooses: by a painter that knows the styles, or else by a draft."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING

from vggapps.errors import WeightsError
from vggapps.style._settings import StylizeSettings
from vggapps.web.files import Results, RunFiles, samples
from vggapps.web.running import loaded

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.image._identity import Identity
    from vggapps.optimize._step import Step
    from vggapps.painters import Painter

log = logging.getLogger(__name__)

SIDE = 512  # longer side in pixels of a preview, at most
DRAFT_SIDE = 384  # of one that is a draft

# Settings that a painter follows, and those that do not matter for it; with others a preview is a draft.
_PAINTERS = {"size", "strength", "colors", "quality", "steps", "optimizer", "seed"}


def preview_settings(settings: StylizeSettings, size: int) -> StylizeSettings:
    """The settings of a draft of at most that size."""
    return replace(settings, size=min(DRAFT_SIDE, size), quality="draft", steps=None)


def until_obsolete(steps: Iterator[Step], is_wanted: Callable[[], bool]) -> Iterator[Step]:
    """Steps until they are not wanted any more, but at least the first, so that there is something to see."""
    for step in steps:
        yield step
        if not is_wanted():
            return


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo at the size of its preview.

    Attributes:
        path: the uploaded file.
        picture: the picture.
        identity: of the file.
    """

    path: str
    picture: Picture
    identity: Identity

    @property
    def size(self) -> int:
        """The longer side in pixels."""
        return max(self.picture.size)


class Previews:
    """What visitors want to see, and what is kept of each for the next preview."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._wanted: dict[str, object] = {}
        self._painting: list[str] = []  # sessions, once for each picture
        self._files: dict[str, RunFiles] = {}
        self._photos: dict[str, Photo] = {}

    def ask(self, session: str, choice: object) -> bool:
        """Note the choice of a visitor, which makes previews of other choices obsolete.

        Returns:
            Whether a preview may be shown: not while a picture is painted for this visitor.
        """
        if self.is_suspended(session):
            return False
        self._wanted[session] = choice
        return True

    def is_wanted(self, session: str, choice: object) -> bool:
        """Whether a visitor has made no other choice meanwhile."""
        return not self.is_suspended(session) and self._wanted.get(session, choice) == choice

    def is_suspended(self, session: str) -> bool:
        """Whether a picture is painted for a visitor, or waits for that."""
        return session in self._painting

    @contextmanager
    def suspended(self, session: str) -> Iterator[None]:
        """While a picture is painted for a visitor, or waits for that."""
        self._painting.append(session)
        try:
            yield
        finally:
            self._painting.remove(session)

    def files(self, session: str) -> RunFiles:
        """The folder of a visitor's previews."""
        if session not in self._files or not self._files[session].folder.exists():  # it expires
            self._files[session] = self._results.run(session)
        return self._files[session]

    def photo(self, session: str, path: str, settings: StylizeSettings, most: int) -> Photo:
        """A photo at the size of its preview; the last one of a visitor is kept.

        Args:
            session: the visitor.
            path: the uploaded file.
            settings: their size is the preview's if it is not larger than :data:`SIDE`.
            most: the page's largest size.
        """
        from vggapps.image import resize, scaled
        from vggapps.image._identity import identify
        from vggapps.style._styles import open_photo

        kept = self._photos.get(session)
        asked = min(SIDE, most, settings.size if isinstance(settings.size, int) else SIDE)
        if kept is None or (kept.path, kept.size) != (path, asked):
            opened, size = open_photo(path, replace(settings, size=asked))
            picture = opened.with_rgb(resize(opened.rgb, scaled(*opened.size, size)))
            self._photos[session] = kept = Photo(path, picture, identify(path))
        return kept

    def clear(self, session: str) -> None:
        """Forget a visitor."""
        for kept in (self._wanted, self._files, self._photos):
            kept.pop(session, None)  # type: ignore[attr-defined]


def painted_at_once(photo: Photo, weighted: Sequence[tuple[str, float]], settings: StylizeSettings) -> Picture | None:
    """A photo painted in one pass with its recipe; None if the installed painter can't paint it as asked."""
    from vggapps.image._identity import identify
    from vggapps.painters import PaintSettings
    from vggapps.painters._painting import painted, painted_recipe

    changed = {f.name for f in fields(settings) if getattr(settings, f.name) != f.default}
    painter = loaded(samples_painter)
    names = [sample_styles().get(identify(path).sha256) for path, _ in weighted]
    if changed - _PAINTERS or painter is None or not set(names) <= set(painter.styles):
        return None
    mixture: dict[str, float] = {}
    for name, (_, weight) in zip(names, weighted, strict=True):
        mixture[str(name)] = mixture.get(str(name), 0.0) + weight
    own = PaintSettings(size=photo.size, strength=settings.strength, colors=settings.colors)
    made = painted(painter, photo.picture, photo.size, mixture, own)
    return replace(made, settings=painted_recipe(own, photo.identity, painter.file, mixture))


def samples_painter() -> Painter | None:
    """The painter of the sample styles, on its device; None if it is not installed."""
    from vggapps.painters import load_painter
    from vggapps.vgg._device import pick_device

    try:
        return load_painter("samples").to(pick_device("auto"))
    except WeightsError as error:
        log.info("previews in the sample styles are drafts: %s", error)
        return None


@cache
def sample_styles() -> dict[str | None, str]:
    """The names of the sample styles by the digest of their files."""
    from vggapps.image._identity import identify

    return {identify(path).sha256: path.stem for path in samples("style")}
