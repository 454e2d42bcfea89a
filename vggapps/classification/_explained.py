"""Explain a network's prediction for a picture: by default the class that ``classify`` predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vggapps._progress import tracked
from vggapps.classification._views import crops, to_probabilities
from vggapps.datasets._reading import check_strip, scaled_to, to_tensor
from vggapps.explanation._methods import Explanation
from vggapps.explanation._question import Watch, load_explained
from vggapps.explanation._report import Classified, explanation_record, explanations, figure, headline, open_explained
from vggapps.explanation._settings import ExplainSettings
from vggapps.image import Picture, Source
from vggapps.image._identity import identified
from vggapps.image._recipe import identify_files
from vggapps.vgg._network import VGG


@dataclass(frozen=True, eq=False, repr=False)
class Explained:
    """Explanations of a class or of a layer's response.

    Prints as the class, its probability and the methods; a notebook shows the picture.

    Attributes:
        picture: the photo beside its heat maps; ``picture.settings`` holds the numbers and the recipe.
        explanations: one per method, with the maps.
    """

    picture: Picture
    explanations: tuple[Explanation, ...]

    @property
    def target(self) -> str:
        """What is explained: ``class:tabby``, ``relu5_4:200``."""
        return self.explanations[0].target

    @property
    def confidence(self) -> float:
        """The probability of the class, in [0, 1]; for a layer, its response."""
        return float(self.explanations[0].confidence[0])

    def save(self, *arguments: Any, **options: Any) -> Path:
        """Write the picture; see :meth:`~vggapps.image.Picture.save`."""
        return self.picture.save(*arguments, **options)

    def show(self) -> None:
        """Open the picture in the system's image viewer."""
        self.picture.show()

    def __repr__(self) -> str:
        methods = [one.method.name + (f" ({one.layer})" if one.layer else "") for one in self.explanations]
        return f"{headline(self.picture.settings or {})}, by {', '.join(methods)}"

    def _repr_png_(self) -> bytes:
        return self.picture._repr_png_()


def explain(
    image: Source,
    settings: ExplainSettings | None = None,
    *,
    network: VGG | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Explained:
    """Show which parts of a picture are evidence for a network's prediction, as ``vggapps explain`` does.

    >>> vggapps.explain("cat.jpg")                                                      # doctest: +SKIP
    tabby 62.0 %, by grad-cam (relu5_4)

    :func:`vggapps.explanation.explain_batch` explains tensors, and any module.

    Args:
        image: a file, :class:`~vggapps.image.Picture`, Pillow image, array or tensor, of any size.
        settings: see :class:`~vggapps.explanation.ExplainSettings`; ``overrides`` change single settings by name, such
            as ``target="class:tabby"`` or ``method="lrp"``.
        network: with classes, in inference mode, on its device; loaded according to the settings if not given.
        progress: show a progress bar on stderr for slow methods.

    Raises:
        PictureError: the picture can't be read, or is too long and narrow.
        SettingsError: an invalid setting, target or layer.
        WeightsError: the weights are not available.
    """
    settings = replace(settings or ExplainSettings(), **overrides)
    network = load_explained(settings) if network is None else network
    source, identity = identified(image)
    used = identify_files(settings)
    picture = open_explained(source, settings, identity.name)
    named = None if settings.target else classify_center([network], picture)

    def watch(method: str) -> Watch:
        return lambda steps: tracked(steps, method, quiet=not progress)

    found = explanations(network, picture, settings, watch, named)
    about = explanation_record({"images": [identity], **used}, settings, found, classified=named)
    return Explained(Picture(figure(picture, found), name=picture.name, settings=about), tuple(found))


@torch.inference_mode()
def classify_center(networks: Sequence[VGG], picture: Picture) -> Classified:
    """The class that ``classify`` predicts by default, from the center crop.

    Explanations and boxes use the whole picture, for which another class may be the most probable. The networks take
    pictures of one size.
    """
    check_strip(picture, whole=False)
    size = networks[0].convention
    view = crops(to_tensor(scaled_to(picture, size.resize)), "center", size.crop)
    rows = [to_probabilities(vgg(view.to(vgg.device)), vgg.temperature)[0].cpu() for vgg in networks]
    shares = torch.stack(rows).mean(0)
    index = int(shares.argmax())
    return Classified(index, float(shares[index]))
