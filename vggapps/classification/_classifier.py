"""Pictures in, names of classes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vggapps.classification._predictions import Prediction, Predictions
from vggapps.classification._settings import ClassifySettings as ClassifySettings
from vggapps.classification._settings import EvaluateSettings, LocalizeSettings, Views
from vggapps.classification._views import WHOLE, check_views, crops, probabilities, scales_of, softened
from vggapps.datasets._reading import Reading, check_strip, read_pictures, scaled_to, to_tensor
from vggapps.errors import SettingsError, VggappsError
from vggapps.image import Picture, from_pil, open_picture, rgb_of
from vggapps.image._opening import Source
from vggapps.vgg._fast import Device, Dtype, pick_device
from vggapps.vgg._moving import ordinary
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import InputName
from vggapps.weights._backbone import is_file, load_network
from vggapps.weights._files import known_convention
from vggapps.weights._labels import Label as Label
from vggapps.weights._labels import labels_for
from vggapps.weights._records import RECORDS

Input = Source | Picture | Image.Image | Float[Tensor, "3 h w"] | Float[Tensor, "1 3 h w"]


@dataclass(frozen=True, eq=False)
class Result:
    """What was found for one of many pictures.

    Attributes:
        index: which of the sources it is.
        probabilities: of the classes, float32, on the CPU; None where the picture can't be read.
        error: why it can't.
    """

    index: int
    probabilities: Float[Tensor, " classes"] | None = None
    error: VggappsError | None = None


class Classifier:
    """Networks, their classes, and a way to look at pictures.

    >>> Classifier("vgg19-gap")(torch.rand(3, 256, 256))[0].probability < 0.9
    True

    Args:
        backbone: a network or several, whose probabilities are averaged (section 4.4), as
            :func:`~vggapps.weights._backbone.load_network` takes them.
        views: ``center``, ``ten``, ``dense``, ``multi-scale``, ``multi-crop`` or ``multi-crop+dense``.
        device: where to compute.
        dtype: of the networks; probabilities are float32.
        batch: pictures, or crops of one, that go through a network together.
        classes: names of the outputs where the networks have none, see :func:`vggapps.weights.load_vgg`.
        convention: what people's own files want as input, see there.

    Raises:
        WeightsError: they can't be had, or are features without a classifier.
        SettingsError: a wrong name, networks whose classes differ, not as many names as outputs, or a convention
            where that of all networks is known.
    """

    @ordinary()
    def __init__(
        self,
        backbone: str | Path | VGG | Sequence[str | Path | VGG] = "auto",
        *,
        views: Views = "center",
        device: Device = "auto",
        dtype: Dtype = "auto",
        batch: int = 8,
        classes: str | Path | Sequence[str] | None = None,
        convention: InputName | None = None,
    ) -> None:
        words = [backbone] if isinstance(backbone, str | Path | VGG) else list(backbone)
        self.views, self.batch, self.device = check_views(views), batch, pick_device(device)
        own = [not isinstance(word, VGG) and is_file(word) for word in words]
        if not words:
            raise SettingsError("no backbone is named", "auto takes what is on this machine")
        if convention and not any(own):
            raise known_convention("this backbone", convention)
        loaded = [
            load_network(
                word, needs="classes", classes=classes, convention=convention if of_file else None,
                device=self.device, dtype=dtype,
            )
            for word, of_file in zip(words, own, strict=True)
        ]  # fmt: skip
        kinds = {labels_for(vgg) for vgg in loaded}
        if len(kinds) > 1:
            raise SettingsError("these networks know different classes", "average those of one training set only")
        self.labels: tuple[Label, ...] = kinds.pop()
        self.backbone = tuple(vgg.weights_name or vgg.plan.name for vgg in loaded)
        self.networks = tuple(vgg if vgg.head == "conv" else vgg.dense() for vgg in loaded)
        trained = {RECORDS[name].trained_at if name in RECORDS else (256, 256) for name in self.backbone}
        least, greatest = min(t[0] for t in trained), max(t[1] for t in trained)
        self.scales = scales_of(self.views, (least, greatest))

    @classmethod
    def of(cls, settings: ClassifySettings | EvaluateSettings | LocalizeSettings) -> Classifier:
        """The classifier that settings describe."""
        return cls(
            settings.backbone, views=settings.views, device=settings.device, dtype=settings.dtype,
            classes=settings.classes, convention=settings.convention,  # type: ignore[arg-type]
        )  # fmt: skip

    @overload  # a tensor is either; its dimensions, which mypy does not see, tell which
    def __call__(self, image: Input, top: int = 5) -> Predictions: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, image: list[Input] | Float[Tensor, "n 3 h w"], top: int = 5) -> list[Predictions]: ...
    def __call__(self, image: object, top: int = 5) -> Predictions | list[Predictions]:
        """The likeliest classes of a picture, or of each of several, best first.

        Args:
            image: a path, a file's bytes, a :class:`~vggapps.image.Picture`, Pillow's, a NumPy array H × W × 3 (RGB, as
                :func:`~vggapps.image.open_picture` takes it), or an RGB tensor 3 × H × W, in [0, 1], uint8 or uint16;
                or a list of these, or a tensor with a batch dimension.
            top: how many classes.

        Raises:
            PictureError: one can't be read, or is too long a strip.
            SettingsError: an array or tensor is none, or goes beyond [0, 1].
        """
        if isinstance(image, Tensor) and image.ndim == 4:
            return [self.best(self.probabilities(one), top) for one in image]
        if isinstance(image, list | tuple):
            return [self.best(self.probabilities(one), top) for one in image]
        return self.best(self.probabilities(image), top)  # type: ignore[arg-type]

    def probabilities(self, image: Input) -> Float[Tensor, " classes"]:
        """Of every class, in the order of ``labels``: float32, on the CPU, sum 1; of a single class its sigmoid.

        Raises:
            PictureError: it can't be read.
        """
        picture = _opened(image, self.scales)
        check_strip(picture, whole=self.views in WHOLE)
        return self._look([tuple(to_tensor(scaled_to(picture, side)) for side in self.scales)])[0]

    def best(self, probabilities: Float[Tensor, " classes"], top: int = 5) -> Predictions:
        """The likeliest classes, best first."""
        values, indices = probabilities.topk(min(top, len(self.labels)))
        labels = [self.labels[i] for i in indices.tolist()]
        return Predictions(
            Prediction(label.index, label.name, label.wordnet, value)
            for label, value in zip(labels, values.tolist(), strict=True)
        )

    def run(self, sources: Sequence[Source], workers: int | None = None) -> Iterator[Result]:
        """Classify many pictures, in order, a few in memory at a time; what can't be read is told in its place.

        Args:
            sources: paths, or files' bytes.
            workers: processes that read pictures; None for as many as suit the machine.
        """
        waiting: list[Reading] = []
        batch = self.batch if self.views == "center" else 1
        for reading in read_pictures(sources, self.scales, workers, whole=self.views in WHOLE):
            waiting.append(reading)
            if sum(r.error is None for r in waiting) == batch:
                yield from self._results(waiting)
                waiting = []
        yield from self._results(waiting)

    def _results(self, readings: list[Reading]) -> Iterator[Result]:
        seen = [tuple(map(to_tensor, r.scales)) for r in readings if r.error is None]
        rows = iter(self._look(seen) if seen else torch.empty(0, len(self.labels)))
        for r in readings:
            yield Result(r.index, error=r.error) if r.error else Result(r.index, next(rows))

    @torch.inference_mode()
    def _look(self, pictures: list[tuple[Float[Tensor, "1 3 h w"], ...]]) -> Float[Tensor, "n classes"]:
        """Class probabilities of pictures, each at all scales."""
        found = []
        for vgg in self.networks:
            if self.views == "center":
                shown = torch.cat([crops(scales[0], "center") for scales in pictures])
                found.append(softened(vgg(shown.to(self.device)), vgg.temperature))
                continue
            moved = [tuple(scale.to(self.device) for scale in scales) for scales in pictures]
            rows = [probabilities(vgg, s, self.views, temperature=vgg.temperature, batch=self.batch) for s in moved]
            found.append(torch.stack(rows))
        return torch.stack(found).mean(0).cpu()


def classify(
    image: Input, settings: ClassifySettings | None = None, *, classifier: Classifier | None = None, **overrides: Any
) -> Predictions:
    """Name what is in a picture, as ``vggapps classify`` does.

    >>> vggapps.classify("photo.jpg", top=3)                                            # doctest: +SKIP
     62.0 %  tabby         n02123045
     21.4 %  tiger cat     n02123159
      9.8 %  Egyptian cat  n02124075

    Args:
        image: as for :class:`Classifier`: a file, a :class:`~vggapps.image.Picture`, Pillow's, an array or a tensor.
        settings: see :class:`ClassifySettings`; ``overrides`` change single ones by name.
        classifier: with which many pictures are classified; made as the settings say when it is not given.

    Raises:
        PictureError: the picture can't be read, or is too long a strip.
        SettingsError: a wrong setting.
        WeightsError: the weights can't be had.
    """
    if isinstance(one := overrides.get("backbone"), str):
        overrides["backbone"] = (one,)
    settings = replace(settings or ClassifySettings(), **overrides)
    classifier = Classifier.of(settings) if classifier is None else classifier
    return classifier(image, settings.top)


def _opened(image: Input, scales: Sequence[int]) -> Picture:
    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, Tensor):
        return Picture(rgb_of(image.detach().cpu()[(None,) * (image.ndim == 3)]))
    return open_picture(image, at_least=2 * max(scales))
