"""Pictures on their way to explanations and classes: each is opened once, and kept small until it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vggapps._progress import tracked
from vggapps.cli.inputs import Input, opened
from vggapps.cli.outcome import Failures, note
from vggapps.cli.progress import Stop
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
    """A picture that was explained.

    Attributes:
        path: where it was read.
        target: where its figure goes.
        identity: which file it was.
        picture: as large as it is drawn.
        classified: the class that is explained where none was named.
        found: the explanations.
    """

    path: str
    target: Target
    identity: Identity
    picture: Picture
    classified: Classified | None
    found: list[Explanation]


def explained(
    network: VGG,
    settings: ExplainSettings,
    photos: Sequence[Input],
    targets: Sequence[Target],
    stop: Stop,
    failures: Failures,
    *,
    quiet: bool,
) -> Iterator[Explained]:
    """Each picture that can be read, with its explanations; a stop ends it after the one that is in work."""
    from vggapps.classification._explained import classified
    from vggapps.explanation._report import explanations, open_explained, shown

    for (path, *_), target in zip(photos, targets, strict=True):
        title = "" if len(photos) == 1 else f"{Path(path).name}: "
        try:
            data, identity = opened(path)
            picture = open_explained(data, settings, Path(path).name)
            named = None if settings.target else classified([network], picture)
            found = explanations(network, picture, settings, partial(_watched, title, quiet), named)
        except Exception as error:
            failures.add(error, path)
        else:
            yield Explained(path, target, identity, shown(picture, len(found)), named, found)
        if stop.code:
            return


def _watched(title: str, quiet: bool, method: str) -> Watch:
    return lambda steps: tracked(steps, f"{title}{method}", quiet=quiet)


def shown_results(
    classifier: Classifier,
    settings: ClassifySettings,
    paths: Sequence[str],
    targets: Sequence[Target | None],
    *,
    quiet: bool,
) -> Iterator[Result]:
    """Results one by one, with a picture of what decided; each file is opened once."""
    from vggapps.classification._classifier import Result
    from vggapps.classification._localize import DRAWN, class_heat
    from vggapps.image import open_picture
    from vggapps.image._recipe import identify_files, recipe

    used = identify_files(settings)
    for index, (path, target) in enumerate(zip(paths, targets, strict=True)):
        assert target is not None
        try:
            data, identity = opened(path)
            picture = open_picture(data, at_least=max(DRAWN, 2 * max(classifier.scales)), name=Path(path).name)
        except VggappsError as error:
            yield Result(index, error=error)
            continue
        (result,) = classifier.run([picture])
        yield replace(result, index=index)
        if result.probabilities is not None:
            (best,) = classifier.best(result.probabilities, 1)
            told = recipe("classify", settings, {"images": [identity], **used}, label=best.label)
            place = deliver_picture(target, class_heat(classifier, picture, best.index), told)
            note(f"{place}: where it sees {best.label}", quiet=quiet)
