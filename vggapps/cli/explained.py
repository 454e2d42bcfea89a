"""Explanations and classifications of several pictures; each file is read once and decoded at a reduced size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vggapps._progress import tracked
from vggapps.cli.inputs import Input, read_input
from vggapps.cli.interrupt import Stop
from vggapps.cli.outcome import Failures, note
from vggapps.cli.saving import Target, deliver_picture
from vggapps.errors import VggappsError

if TYPE_CHECKING:
    from vggapps.classification._classifier import Classifier, Result
    from vggapps.classification._settings import ClassifySettings
    from vggapps.explanation._methods import Explanation
    from vggapps.explanation._question import Watch
    from vggapps.explanation._report import Classified
    from vggapps.explanation._settings import ExplainSettings
    from vggapps.image import Picture
    from vggapps.image._identity import Identity
    from vggapps.vgg._network import VGG


@dataclass(frozen=True)
class Explained:
    """A picture with its explanations.

    Attributes:
        path: the input.
        target: where its figure is written.
        identity: of the file.
        picture: at the size that is drawn.
        classified: the predicted class, if no target was given.
        found: the explanations.
    """

    path: str
    target: Target
    identity: Identity
    picture: Picture
    classified: Classified | None
    found: list[Explanation]


def explain_each(
    network: VGG,
    settings: ExplainSettings,
    photos: Sequence[Input],
    targets: Sequence[Target],
    stop: Stop,
    failures: Failures,
    *,
    quiet: bool,
) -> Iterator[Explained]:
    """Explain each picture that can be read; a stop ends it after the current picture."""
    from vggapps.classification._explained import classify_center
    from vggapps.explanation._report import explanations, open_explained, thumbnail

    for (path, *_), target in zip(photos, targets, strict=True):
        title = "" if len(photos) == 1 else f"{Path(path).name}: "
        try:
            data, identity = read_input(path)
            picture = open_explained(data, settings, Path(path).name)
            named = None if settings.target else classify_center([network], picture)
            found = explanations(network, picture, settings, partial(_watched, title, quiet), named)
        except Exception as error:
            failures.add(error, path)
        else:
            yield Explained(path, target, identity, thumbnail(picture, len(found)), named, found)
        if stop.code:
            return


def _watched(title: str, quiet: bool, method: str) -> Watch:
    return lambda steps: tracked(steps, f"{title}{method}", quiet=quiet)


def classify_and_explain(
    classifier: Classifier,
    settings: ClassifySettings,
    paths: Sequence[str],
    targets: Sequence[Target | None],
    *,
    quiet: bool,
) -> Iterator[Result]:
    """Classify each picture, and write a heat map of the evidence for its best class."""
    from vggapps.classification._classifier import Result
    from vggapps.classification._localize import DRAWN, class_heat
    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe

    used = identify_files(settings)
    for index, (path, target) in enumerate(zip(paths, targets, strict=True)):
        assert target is not None
        try:
            data, identity = read_input(path)
            picture = open_picture(data, at_least=max(DRAWN, 2 * max(classifier.scales)), name=Path(path).name)
        except VggappsError as error:
            yield Result(index, error=error)
            continue
        (result,) = classifier.run([picture])
        yield replace(result, index=index)
        if result.probabilities is not None:
            (best,) = classifier.best(result.probabilities, 1)
            facts = recipe("classify", settings, {"images": [identity], **used}, label=best.label)
            place = deliver_picture(target, class_heat(classifier, picture, best.index), facts)
            note(f"{place}: evidence for {best.label}", quiet=quiet)
