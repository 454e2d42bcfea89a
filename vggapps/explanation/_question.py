"""The subject of an explanation: a number that a network computes from a picture."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from vggapps.errors import SettingsError, VggappsError, out_of_memory
from vggapps.explanation._settings import ExplainSettings
from vggapps.objectives._networks import requirements
from vggapps.objectives._objective import Activations, Objective, class_score, each
from vggapps.objectives._text import parse
from vggapps.vgg._cut import Cut
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._inference import check_inference
from vggapps.vgg._network import VGG
from vggapps.vgg._wrapped import as_network, features
from vggapps.weights._backbone import Backbone, load_network
from vggapps.weights._labels import labels_for

One = int | str | Objective  # integers also from NumPy or a tensor
Target = One | Sequence[One] | Tensor | NDArray[np.integer]
Watch = Callable[[Sequence[int]], Iterable[int]]  # wraps the steps of a slow method, to show progress


@dataclass(frozen=True, eq=False)
class Question:
    """A network, and the number to explain.

    Attributes:
        network: in inference mode.
        objective: the number.
        parts: the objective of each picture of a batch, if they differ; otherwise empty.

    Raises:
        SettingsError: a part of the network is in training mode.
    """

    network: nn.Module
    objective: Objective
    parts: tuple[Objective, ...] = ()

    def __post_init__(self) -> None:
        check_inference(self.network)

    @property
    def of_classes(self) -> bool:
        """Whether the number depends on class scores only, so that there is a probability."""
        return self.objective.layers == {OUTPUT} and as_network(self.network).outputs != 0

    def score(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The number for each picture; for a class, its logit."""
        with checked_input(self.network, image):
            found = features(self.network, image, self.objective.layers)
        return self._score(found, len(image))

    def confidence(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The probability of a class, with the temperature stored with the weights; for a layer, its response.

        The sigmoid for a network with one output. For a negated class, ``-class:3``, the probability of all others.
        """
        if not self.of_classes:
            return self.score(image)
        rows = _rows(at_least_float32(_outputs(self.network, image))) / as_network(self.network).temperature
        shares = rows.sigmoid() if rows.shape[1] == 1 else rows.softmax(1)
        scores, at_most = (self._score({OUTPUT: each}, len(image)) for each in (shares, torch.ones_like(shares)))
        return scores - at_most.clamp(max=0)  # -p becomes 1 - p

    def cut(self, layer: str) -> Cut:
        """The network cut at a layer; see :meth:`score_after`."""
        return Cut(self.network, layer, self.objective.layers)

    def score_after(
        self, cut: Cut, activations: Float[Tensor, "n c h w"], picture: int | None = None
    ) -> Float[Tensor, " n"]:
        """The number, computed from activations at the cut: of all pictures, or several variants of one picture."""
        # A copy, since an in-place ReLU would change the caller's tensor.
        return self._score(cut.after(activations.clone(), picture), len(activations))

    def about(self, picture: int) -> Question:
        """The question about one picture of the batch, for any number of its variants."""
        return Question(self.network, self.parts[picture]) if self.parts else self

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The neutral picture: for a VGG the mean color, which is zero after normalization; black for other modules."""
        return as_network(self.network).blank(image)

    def _score(self, found: Mapping[str, Tensor], pictures: int) -> Float[Tensor, " n"]:
        if self.parts and len(self.parts) != pictures:
            raise SettingsError(f"{len(self.parts)} classes for {pictures} pictures", "give one, or one for each")
        seen = {layer: _row_each(one, pictures) if layer == OUTPUT else one for layer, one in found.items()}
        return self.objective.score(Activations({layer: at_least_float32(one) for layer, one in seen.items()}))


def ask(network: nn.Module, target: Target) -> Question:
    """Define what to explain: a class, or the response of a layer.

    Args:
        network: a VGG, or any module that maps pictures to rows of class scores, or to one score each.
        target: index of a class; a text such as ``class:tabby``, ``-class:tabby`` for evidence against it, or
            ``relu5_4:200``, see :mod:`vggapps.objectives`; an objective; or several of these, one for each picture.
            Indices may come from Python, NumPy or a tensor.

    Raises:
        SettingsError: the network has no such target; the target compares with a picture; or a part of the network is
            in training mode, where dropout makes explanations random.
    """
    check_inference(network)
    if isinstance(target, Tensor | np.ndarray):
        target = target.tolist()
    if isinstance(target, str | Objective) or not isinstance(target, Sequence):
        return Question(network, _objective(network, target))
    if not target:
        raise SettingsError("the list of targets is empty", "give one, or one for each picture")
    parts = tuple(_objective(network, one) for one in target)
    return Question(network, each(parts), parts)


def load_explained(settings: ExplainSettings, backbone: Backbone | None = None) -> VGG:
    """Load the network of the settings (or ``backbone``), fully convolutional, with the head that the target needs."""
    needs, layers = requirements(settings.target or "class:0")
    network = load_network(
        backbone or settings.backbone,
        needs=needs, layers=[*layers, *filter(None, [settings.layer])], classes=settings.classes,
        convention=settings.convention, device=settings.device, dtype=settings.dtype,
    )  # fmt: skip
    network = network.dense() if network.head in ("fc", "gap") else network
    ask(network, settings.target or 0)
    return network


def predicted_classes(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> list[int]:
    """The most probable class of each picture; 0 for a network with one output.

    Raises:
        SettingsError: a part of the network is in training mode, or it gives no row of scores per picture.
    """
    check_inference(network)
    with torch.no_grad():
        indices: list[int] = _rows(_outputs(network, image)).argmax(1).tolist()
    return indices


@contextmanager
def checked_input(network: nn.Module, image: Float[Tensor, "n c h w"]) -> Iterator[None]:
    """Convert a module's error about the shape of its input into a :class:`SettingsError`."""
    try:
        yield
    except (RuntimeError, AssertionError, ValueError) as error:  # raised by modules for unsupported shapes
        if isinstance(error, VggappsError) or out_of_memory(error):
            raise
        shape, reason = " x ".join(map(str, image.shape[1:])), str(error).strip().partition("\n")[0]
        raise SettingsError(
            f"{type(network).__name__} can't take pictures of {shape}: {reason or type(error).__name__}",
            "give pictures of the size and number of channels it expects, or a preprocess that converts them",
        ) from error


def at_least_float32(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """Upcast half precision, which is too coarse for sums over many numbers."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def finite(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """Replace NaN and infinity by zero, such as the gradient of a square root at zero."""
    return torch.where(x.isfinite(), x, 0)


def _rows(scores: Float[Tensor, "n classes ..."]) -> Float[Tensor, "n classes"]:
    """Class scores, averaged over positions for a fully convolutional network."""
    return scores.flatten(2).mean(2) if scores.ndim > 2 else scores


def _outputs(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n classes ..."]:
    with checked_input(network, image):
        scores = features(network, image, (OUTPUT,))[OUTPUT]
    return _row_each(scores, len(image))


def _row_each(scores: Float[Tensor, "n ..."], pictures: int) -> Float[Tensor, "n classes ..."]:
    """Check that a network's output has one row per picture; single numbers become rows of one."""
    if scores.ndim == 0 and pictures == 1:  # squeezed
        scores = scores[None]
    if scores.ndim == 0 or len(scores) != pictures:
        shape = " x ".join(map(str, scores.shape)) or "one number"
        raise SettingsError(
            f"for a batch of {pictures} pictures the network returns {shape}",
            "it must return a row of class scores for each",
        )
    return scores[:, None] if scores.ndim == 1 else scores


def _objective(network: nn.Module, target: object) -> Objective:
    if isinstance(target, str):
        target = parse(target, network)
    if not isinstance(target, Objective):
        return _class(network, _index(target))
    if target.references:
        raise SettingsError(f"{target.text} compares with a picture", "explain a class, a layer or a channel")
    return target


def _index(target: object) -> int:
    if not isinstance(target, bool):
        with suppress(TypeError):
            return operator.index(target)  # type: ignore[arg-type]
    raise SettingsError(
        f"a target can't be {target!r}, a {type(target).__name__}",
        "give the index of a class, a text such as class:3, or a list with one for each picture",
    )


def _class(network: nn.Module, index: int) -> Objective:
    labels = labels_for(network)
    if not labels:
        return class_score(index)
    if not 0 <= index < len(labels):
        raise SettingsError(f"there is no class {index}", f"the last one is {len(labels) - 1}")
    return class_score(index, labels[index].name)
