"""Image classification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vggapps._tables import html_table
from vggapps.classification._settings import ClassifySettings as ClassifySettings
from vggapps.classification._settings import EvaluateSettings, LocalizeSettings, Views
from vggapps.classification._views import CROP, VIEWS, WHOLE, crops, probabilities, scales_of, to_probabilities
from vggapps.datasets._reading import Reading, check_strip, read_pictures, scaled_to, to_tensor
from vggapps.errors import SettingsError, VggappsError, unknown
from vggapps.image import Picture, open_picture, rgb_of
from vggapps.image._opening import Source
from vggapps.vgg._device import Device, Dtype, pick_device
from vggapps.vgg._moving import normal_tensors
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import InputName
from vggapps.weights._backbone import is_file, load_network
from vggapps.weights._files import known_convention
from vggapps.weights._labels import Label as Label
from vggapps.weights._labels import labels_for
from vggapps.weights._records import RECORDS

Input = Source | Picture | Image.Image | Float[Tensor, "3 h w"] | Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class Prediction:
    """A predicted class.

    Attributes:
        index: of the output.
        label: name of the class.
        wordnet: WordNet id, empty if it has none.
        probability: in [0, 1], with the temperature that is stored with the weights.
    """

    index: int
    label: str
    wordnet: str
    probability: float


class Predictions(list[Prediction]):
    """The most probable classes of a picture, best first: a list that prints as a table."""

    def __repr__(self) -> str:
        width = max((len(one.label) for one in self), default=0)
        lines = [f"{_percent(one)}  {one.label:<{width}}  {one.wordnet}".rstrip() for one in self]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [(_percent(one), one.label, one.wordnet) for one in self]
        return html_table(("probability", "class", "WordNet"), rows)


def _percent(one: Prediction) -> str:
    return f"{100 * one.probability:5.1f} %"


@dataclass(frozen=True, eq=False)
class Result:
    """The result for one of many pictures.

    Attributes:
        index: of the source.
        probabilities: of the classes, float32, on the CPU; None if the picture can't be read.
        error: why it can't be read.
    """

    index: int
    probabilities: Float[Tensor, " classes"] | None = None
    error: VggappsError | None = None


class Classifier:
    """Classifies pictures with one or several networks.

    >>> Classifier("vgg19-gap")(torch.rand(3, 256, 256))[0].probability < 0.9
    True

    Args:
        backbone: one network or several, as accepted by :func:`~vggapps.weights._backbone.load_network`; probabilities
            are averaged (section 4.4).
        views: ``center``, ``ten``, ``dense``, ``multi-scale``, ``multi-crop`` or ``multi-crop+dense``.
        device: where to compute.
        dtype: of the networks; probabilities are float32.
        batch: pictures, or crops of one picture, per forward pass.
        classes: names of the outputs if the networks have none, see :func:`vggapps.weights.load_vgg`.
        convention: input convention of the user's own weight files, see there.

    Raises:
        WeightsError: the weights are not available, or have no classifier.
        SettingsError: an unknown name, networks with different classes or sizes of pictures, a wrong number of class
            names, or a convention although that of all networks is known.
    """

    @normal_tensors()
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
        if views not in VIEWS:
            raise unknown("view", views, VIEWS)
        self.views: Views = views
        self.batch, self.device = batch, pick_device(device)
        from_file = [not isinstance(word, VGG) and is_file(word) for word in words]
        if not words:
            raise SettingsError("no backbone is given", "auto uses what is installed")
        if convention and not any(from_file):
            raise known_convention("this backbone", convention)
        loaded = [
            load_network(
                word, needs="classes", classes=classes, convention=convention if of_file else None,
                device=self.device, dtype=dtype,
            )
            for word, of_file in zip(words, from_file, strict=True)
        ]  # fmt: skip
        kinds = {labels_for(vgg) for vgg in loaded}
        if len(kinds) > 1:
            raise SettingsError("these networks have different classes", "average networks of one training set only")
        self.labels: tuple[Label, ...] = kinds.pop()
        self.backbone = tuple(vgg.weights_name or vgg.plan.name for vgg in loaded)
        self.networks = tuple(vgg if vgg.head == "conv" else vgg.dense() for vgg in loaded)
        resize, self.crop = _size(loaded)
        known = RECORDS if (resize, self.crop) == (256, CROP) else {}
        trained = {known[name].trained_at if name in known else (resize, resize) for name in self.backbone}
        least, greatest = min(t[0] for t in trained), max(t[1] for t in trained)
        self.scales = scales_of(self.views, (least, greatest), resize, self.crop)

    @classmethod
    def from_settings(cls, settings: ClassifySettings | EvaluateSettings | LocalizeSettings) -> Classifier:
        """Create a classifier from settings."""
        return cls(
            settings.backbone, views=settings.views, device=settings.device, dtype=settings.dtype,
            classes=settings.classes, convention=settings.convention,  # type: ignore[arg-type]
        )  # fmt: skip

    @overload  # mypy does not see the number of dimensions of a tensor
    def __call__(self, image: Input, top: int = 5) -> Predictions: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, image: list[Input] | Float[Tensor, "n 3 h w"], top: int = 5) -> list[Predictions]: ...
    def __call__(self, image: object, top: int = 5) -> Predictions | list[Predictions]:
        """The most probable classes of a picture, or of each of several, best first.

        Args:
            image: a path, the contents of a file, a :class:`~vggapps.image.Picture`, a Pillow image, a NumPy array
                H × W × 3 (RGB, as for :func:`~vggapps.image.open_picture`), or an RGB tensor 3 × H × W, in [0, 1],
                uint8 or uint16; or a list of these, or a tensor with a batch dimension.
            top: number of classes.

        Raises:
            PictureError: a picture can't be read, or is too long and narrow.
            SettingsError: an array or tensor is not a picture, or exceeds [0, 1].
        """
        if isinstance(image, list | tuple) or (isinstance(image, Tensor) and image.ndim == 4):
            return [self.best(self.probabilities(one), top) for one in image]
        return self.best(self.probabilities(image), top)  # type: ignore[arg-type]

    def probabilities(self, image: Input) -> Float[Tensor, " classes"]:
        """Probabilities of all classes in the order of ``labels``: float32, on the CPU; a sigmoid for a single class.

        Raises:
            PictureError: it can't be read.
        """
        picture = _open(image, self.scales)
        check_strip(picture, whole=self.views in WHOLE)
        return self._predict([tuple(to_tensor(scaled_to(picture, side)) for side in self.scales)])[0]

    def best(self, probabilities: Float[Tensor, " classes"], top: int = 5) -> Predictions:
        """The most probable classes, best first."""
        values, indices = probabilities.topk(min(top, len(self.labels)))
        labels = [self.labels[i] for i in indices.tolist()]
        return Predictions(
            Prediction(label.index, label.name, label.wordnet, value)
            for label, value in zip(labels, values.tolist(), strict=True)
        )

    def run(self, sources: Sequence[Source], workers: int | None = None) -> Iterator[Result]:
        """Classify many pictures in order and in bounded memory; a picture that can't be read gives an error result.

        Args:
            sources: paths, or contents of files.
            workers: worker processes that read pictures; chosen automatically by default.
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
        pictures = [tuple(map(to_tensor, r.scales)) for r in readings if r.error is None]
        rows = iter(self._predict(pictures) if pictures else torch.empty(0, len(self.labels)))
        for r in readings:
            yield Result(r.index, error=r.error) if r.error else Result(r.index, next(rows))

    @torch.inference_mode()
    def _predict(self, pictures: list[tuple[Float[Tensor, "1 3 h w"], ...]]) -> Float[Tensor, "n classes"]:
        """Class probabilities of pictures, each at all scales."""
        found = []
        for vgg in self.networks:
            if self.views == "center":
                batch = torch.cat([crops(scales[0], "center", self.crop) for scales in pictures])
                found.append(to_probabilities(vgg(batch.to(self.device)), vgg.temperature))
                continue
            moved = [tuple(scale.to(self.device) for scale in scales) for scales in pictures]
            rows = [
                probabilities(
                    vgg, scales, self.views,
                    temperature=vgg.temperature, batch=self.batch, crop=self.crop, stride=vgg.stride,
                )
                for scales in moved
            ]  # fmt: skip
            found.append(torch.stack(rows))
        return torch.stack(found).mean(0).cpu()


def classify(
    image: Input, settings: ClassifySettings | None = None, *, classifier: Classifier | None = None, **overrides: Any
) -> Predictions:
    """Classify a picture, as ``vggapps classify`` does.

    >>> vggapps.classify("photo.jpg", top=3)                                            # doctest: +SKIP
     62.0 %  tabby         n02123045
     21.4 %  tiger cat     n02123159
      9.8 %  Egyptian cat  n02124075

    Args:
        image: as for :class:`Classifier`: a file, :class:`~vggapps.image.Picture`, Pillow image, array or tensor.
        settings: see :class:`ClassifySettings`; ``overrides`` change single settings by name.
        classifier: to reuse for many pictures; created from the settings if not given.

    Raises:
        PictureError: the picture can't be read, or is too long and narrow.
        SettingsError: an invalid setting.
        WeightsError: the weights are not available.
    """
    if isinstance(one := overrides.get("backbone"), str):
        overrides["backbone"] = (one,)
    settings = replace(settings or ClassifySettings(), **overrides)
    classifier = Classifier.from_settings(settings) if classifier is None else classifier
    return classifier(image, settings.top)


def _size(networks: Sequence[VGG]) -> tuple[int, int]:
    """The pixels to which pictures are scaled and cropped, which must be the same for all networks."""
    sizes = {vgg.weights_name or vgg.name: (vgg.convention.resize, vgg.convention.crop) for vgg in networks}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {crop} px of {resize}" for name, (resize, crop) in sizes.items())
        raise SettingsError(
            f"these networks take crops of different sizes: {listed}", "average networks of one size only"
        )
    return next(iter(sizes.values()))


def _open(image: Input, scales: Sequence[int]) -> Picture:
    if isinstance(image, Image.Image):
        return open_picture(image)
    if isinstance(image, Tensor):
        return Picture(rgb_of(image.detach().cpu()[(None,) * (image.ndim == 3)]))
    return open_picture(image, at_least=2 * max(scales))
