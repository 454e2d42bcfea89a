"""A training of a painter from files to a file, with checkpoints, so that it can be interrupted."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from vggapps import __version__
from vggapps._files import check_writable
from vggapps._progress import watched
from vggapps.errors import OutputExistsError, PictureError, SettingsError, argument
from vggapps.image import Picture, scan_folder
from vggapps.image._identity import identified
from vggapps.painters._extend import check_new
from vggapps.painters._files import check_name, load_painter, save_painter
from vggapps.painters._network import Painter
from vggapps.painters._settings import PainterSettings
from vggapps.painters._training import default_settings, train_painter
from vggapps.settings import to_dict
from vggapps.style._styles import Styles, open_style, pairs_of
from vggapps.training import Pictures, TrainingStep
from vggapps.training._checkpoints import load_checkpoint, save_checkpoint
from vggapps.training._pictures import Files, sampled

log = logging.getLogger(__name__)

EVERY = 200  # steps between checkpoints
FEW = 50  # photos; a painter of fewer learns what is in them
_RECENT = 100  # steps whose mean loss is reported: single ones vary with their photos and styles

Photos = str | Path | Sequence[str | Path] | Pictures


def train_style(
    styles: Mapping[str, Styles] | Sequence[str | Path],
    photos: Photos,
    output: str | Path,
    settings: PainterSettings | None = None,
    *,
    base: Painter | str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    **overrides: Any,
) -> Painter:
    """Train a painter for one or several styles and save it, as ``vggapps train-style`` does.

    >>> painter = vggapps.train_style(["waves.jpg"], "photos/", "waves.safetensors")    # doctest: +SKIP
    >>> vggapps.paint(painter, "town.jpg").save("painted.png")                          # doctest: +SKIP

    A training takes hours. Every 200 steps a checkpoint is written into the folder ``OUTPUT.checkpoint``, which is
    removed at the end.

    Args:
        styles: files, each a style with the stem of its name; or styles by name, as for :func:`train_painter`.
        photos: a folder, whose subfolders count, or files; a few hundred or more.
        output: the file of the painter, a name that ends in ``.safetensors``.
        settings: see :class:`PainterSettings`; ``overrides`` change single settings by name. With a ``base``, a tenth
            of the steps by default.
        base: a painter, its file, or ``samples``: its network is kept and learns the styles besides its own.
        resume: go on from the checkpoint of an earlier call with the same arguments, to the same painter.
        overwrite: replace a file, and an unfinished training of it.
        progress: show a progress bar on stderr.

    Returns:
        The painter, as :func:`load_painter` reads it from the file.

    Raises:
        SettingsError: names that are taken, or a checkpoint of other arguments.
        OutputExistsError: the file, or an unfinished training of it, exists.
        PictureError, WeightsError: a file can't be read or written.
        DivergedError: the loss is infinite or NaN; the last checkpoint is kept.
    """
    made = replace(settings or default_settings(base), **overrides)
    run = PainterRun(styles, photos, output, made, base=base, resume=resume, overwrite=overwrite)
    for _ in watched(run.steps(), "training", quiet=not progress, note=run.note):
        pass
    return load_painter(output)


class PainterRun:
    """A training that ends with a file; arguments and errors are those of :func:`train_style`.

    Attributes:
        output: the file.
        settings: of the training.
        names: of the styles that are learnt.
        photos: to learn from.
        done: steps before it was resumed.
    """

    def __init__(
        self,
        styles: Mapping[str, Styles] | Sequence[str | Path],
        photos: Photos,
        output: str | Path,
        settings: PainterSettings,
        *,
        base: Painter | str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.output, self.settings = Path(output), settings
        check_name(self.output)
        check_writable(self.output, overwrite=overwrite)
        self.checkpoint = self.output.with_name(f"{self.output.name}.checkpoint")
        self._base, named = load_painter(base) if isinstance(base, str | Path) else base, _by_name(styles)
        if self._base is not None:
            check_new(self._base, list(named))
        self._paintings, listed = _opened(named, settings)
        self.names = tuple(self._paintings)
        self.photos, digest = _read_photos(photos)
        if len(self.photos) < FEW:
            log.warning("%d photos are few: the painter learns more from a few hundred, of any kind", len(self.photos))
        from_base = None if self._base is None else _about(self._base)
        self._facts = {"settings": to_dict(settings), "styles": listed, "photos": digest, "base": from_base}
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._state, self.done = None, 0
        if resume:
            self._load()
        elif self.checkpoint.exists() and not overwrite:
            raise OutputExistsError(
                f"there is an unfinished training of {self.output}",
                f"go on with it by {argument('resume', True)}, or begin again with {argument('overwrite', True)}",
            )

    @property
    def loss(self) -> float:
        """The mean over the last steps."""
        return fmean(self._recent)

    def note(self, step: TrainingStep) -> str:
        """Step and loss, for a progress bar."""
        return f"step {step.index} of {step.total}, loss {self.loss:.4f}"

    def steps(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[TrainingStep]:
        """Train. Checkpoints, and after the last step the painter, are written before the step is yielded.

        Args:
            should_stop: asked after each step; if it is true, a checkpoint is written and the run ends.
        """
        if self._state is None:
            shutil.rmtree(self.checkpoint, ignore_errors=True)
        steps = train_painter(self._paintings, self.photos, self.settings, base=self._base, state=self._state)
        self._state = None
        for step in steps:
            self._recent.append(step.loss)
            stops = should_stop()
            if step.index == step.total:
                self._finish(step)
            elif stops or step.index % EVERY == 0:
                self.checkpoint.mkdir(exist_ok=True)
                save_checkpoint(self.checkpoint, {**self._facts, "recent": list(self._recent), "fit": step.state()})
            yield step
            if stops:
                return

    def _finish(self, step: TrainingStep) -> None:
        painter = step.network()
        assert isinstance(painter, Painter)
        photos = len(self.photos)
        facts = {**self._facts, "photos": photos, "steps": step.total, "loss": self.loss, "version": __version__}
        save_painter(painter, self.output, facts)
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def _load(self) -> None:
        if not self.checkpoint.exists():
            raise SettingsError(
                f"there is no unfinished training of {self.output}", f"leave out {argument('resume', True)}"
            )
        state, problem = load_checkpoint(self.checkpoint)
        if problem:
            log.warning("%s", problem)
        if changed := self._changed(state):
            raise SettingsError(
                f"the unfinished training of {self.output} is another: {changed}",
                f"repeat the arguments that began it, or begin again with {argument('overwrite', True)}",
            )
        self._state, self.done = state["fit"], state["fit"]["step"]
        self._recent.extend(state["recent"])

    def _changed(self, state: Mapping[str, Any]) -> str:
        """The first difference from the training of a checkpoint; empty if there is none."""
        for name, now in to_dict(self.settings).items():
            then = state["settings"][name]
            if then != now and name != "workers":  # which does not change the painter
                return f"{argument(name)} was {then}"
        return next(
            (f"its {name} differed" for name in ("styles", "photos", "base") if state[name] != self._facts[name]), ""
        )


def _by_name(styles: Mapping[str, Styles] | Sequence[str | Path]) -> dict[str, Styles]:
    pairs = list(styles.items()) if isinstance(styles, Mapping) else [(Path(file).stem, file) for file in styles]
    names = [name for name, _ in pairs]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"two styles have the name {double}", "give their files different names")
    if wrong := next((name for name in names if ":" in name or not name.isprintable()), None):
        raise SettingsError(f"{wrong!r} can't be the name of a style", "give its file a name without a colon")
    return dict(pairs)  # type: ignore[arg-type]


def _opened(styles: Mapping[str, Styles], settings: PainterSettings) -> tuple[dict[str, Styles], dict[str, Any]]:
    """The pictures of the styles, and what identifies them."""
    paintings: dict[str, list[tuple[Picture, float]]] = {name: [] for name in styles}
    listed: dict[str, list[dict[str, Any]]] = {name: [] for name in styles}
    for name, style in styles.items():
        for source, weight in pairs_of(style):
            found, identity = identified(source)
            picture = open_style(found, settings.size, settings.style_size, identity.name)
            paintings[name].append((picture, weight))
            listed[name].append(asdict(replace(identity, weight=weight)))
    return {**paintings}, listed


def _read_photos(source: Photos) -> tuple[Pictures, str]:
    """The photos, and a digest of their names and sizes."""
    if isinstance(source, Pictures):
        return source, hashlib.sha256("\n".join(source.names).encode()).hexdigest()
    if isinstance(source, str | Path):
        if not Path(source).is_dir():
            raise PictureError(f"{source}: there is no such folder", "give a folder of photos")
        source = scan_folder(source).pictures
    paths = tuple(str(path) for path in source)
    if not paths:
        raise PictureError("there are no photos", "give a folder with a few hundred")
    if missing := next((path for path in paths if not Path(path).is_file()), None):
        raise PictureError(f"{missing}: there is no such file", "check its name and folder")
    pictures = Pictures(paths, (0,) * len(paths), Files(paths))
    sampled(pictures)  # raises an error if none can be read
    listed = [f"{Path(path).name} {Path(path).stat().st_size}" for path in paths]
    return pictures, hashlib.sha256("\n".join(listed).encode("utf-8", "surrogateescape")).hexdigest()


def _about(base: Painter) -> dict[str, Any]:
    """What identifies a base, and how it was made."""
    file = None if base.file is None else {"name": base.file.name, "sha256": base.file.sha256}
    return {"styles": list(base.styles), "file": file, "made": dict(base.about)}
