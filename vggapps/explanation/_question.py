"""What is to be explained: a number that a network gives for a picture."""

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
from vggapps.objectives._networks import needed
from vggapps.objectives._objective import Objective, Seen, class_score, each
from vggapps.objectives._text import parse
from vggapps.vgg._any import as_network, features
from vggapps.vgg._cut import Cut
from vggapps.vgg._hooks import OUTPUT
from vggapps.vgg._inference import check_inference
from vggapps.vgg._network import VGG
from vggapps.weights._backbone import Backbone, load_network
from vggapps.weights._labels import labels_for

One = int | str | Objective  # of numbers also NumPy's and a tensor's
Target = One | Sequence[One] | Tensor | NDArray[np.integer]
Watch = Callable[[Sequence[int]], Iterable[int]]  # passes the steps of a slow method on, to show how far it is


@dataclass(frozen=True, eq=False)
class Question:
    """Why a network gives this number.

    Attributes:
        network: in inference mode.
        objective: the number.
        parts: where each picture of a batch has its own objective, these; else none.

    Raises:
        SettingsError: a part of the network is in training mode, see ``check_inference``.
    """

    network: nn.Module
    objective: Objective
    parts: tuple[Objective, ...] = ()

    def __post_init__(self) -> None:
        check_inference(self.network)

    @property
    def of_classes(self) -> bool:
        """Whether the number is made of class scores, so that there is a probability."""
        return self.objective.layers == {OUTPUT} and as_network(self.network).outputs != 0

    def score(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The number for each picture; a class's is before the softmax."""
        with taking(self.network, image):
            found = features(self.network, image, self.objective.layers)
        return self._score(found, len(image))

    def confidence(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """A class's probability, after the temperature that is stored with the weights; a layer's response as it is.

        Of a network with one output the probability is the sigmoid. Where the objective is less a class, ``-class:3``,
        it is that of all others together.
        """
        if not self.of_classes:
            return self.score(image)
        rows = _rows(exact(_outputs(self.network, image))) / as_network(self.network).temperature
        shares = rows.sigmoid() if rows.shape[1] == 1 else rows.softmax(1)
        said, at_most = (self._score({OUTPUT: each}, len(image)) for each in (shares, torch.ones_like(shares)))
        return said - at_most.clamp(max=0)  # of p, what is not p is 1 - p

    def cut(self, layer: str) -> Cut:
        """The network cut at a layer; :meth:`score_after` tells what the second part makes of the layer's numbers."""
        return Cut(self.network, layer, self.objective.layers)

    def score_after(
        self, cut: Cut, activations: Float[Tensor, "n c h w"], picture: int | None = None
    ) -> Float[Tensor, " n"]:
        """The number, from the activations at the cut: of all pictures, or all of one of them."""
        # A copy: a module's in-place ReLU would else change the caller's.
        return self._score(cut.after(activations.clone(), picture), len(activations))

    def about(self, picture: int) -> Question:
        """The question about one picture of the batch, which can then be asked of any number of its variants."""
        return Question(self.network, self.parts[picture]) if self.parts else self

    def blank(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The picture that says nothing: the mean colour, zero to the convolutions, of ours; black for a module."""
        return as_network(self.network).blank(image)

    def _score(self, found: Mapping[str, Tensor], pictures: int) -> Float[Tensor, " n"]:
        if self.parts and len(self.parts) != pictures:
            raise SettingsError(f"{len(self.parts)} classes for {pictures} pictures", "give one, or one for each")
        seen = {layer: _row_each(one, pictures) if layer == OUTPUT else one for layer, one in found.items()}
        return self.objective.score(Seen({layer: exact(one) for layer, one in seen.items()}))


def ask(network: nn.Module, target: Target) -> Question:
    """Why a network sees a class, or why a layer responds.

    Args:
        network: ours, or any module that takes pictures and gives a row of class scores for each, or one score.
        target: a class by its index; a text such as ``class:tabby``, ``-class:tabby`` for what speaks against it, or
            ``relu5_4:200``, see :mod:`vggapps.objectives`; an objective; or several of these, one for each
            picture. Indices may be Python's, NumPy's or a tensor's.

    Raises:
        SettingsError: a target that the network has not, or that compares with a picture; or a network of which a
            part is in training mode, where dropout would make explanations a matter of chance.
    """
    check_inference(network)
    if isinstance(target, Tensor | np.ndarray):
        target = target.tolist()
    if isinstance(target, str | Objective) or not isinstance(target, Sequence):
        return Question(network, _objective(network, target))
    if not target:
        raise SettingsError("there is no class in the list of targets", "give one, or one for each picture")
    parts = tuple(_objective(network, one) for one in target)
    return Question(network, each(parts), parts)


def load_explained(settings: ExplainSettings, backbone: Backbone | None = None) -> VGG:
    """The network that settings name, applied at every position, with the head that the target needs.

    Args:
        settings: which network, and what is to be explained.
        backbone: another than the settings', for example one that is loaded already.

    Raises:
        SettingsError: no such network, layer or target.
        WeightsError: they can't be had.
    """
    needs, layers = needed(settings.target or "class:0")
    network = load_network(
        backbone or settings.backbone,
        needs=needs, layers=[*layers, *filter(None, [settings.layer])], classes=settings.classes,
        convention=settings.convention, device=settings.device, dtype=settings.dtype,
    )  # fmt: skip
    network = network.dense() if network.head in ("fc", "gap") else network
    ask(network, settings.target or 0)
    return network


def likeliest(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> list[int]:
    """The class that each picture looks most like; of a network with one output that one, 0.

    Raises:
        SettingsError: a part of the network is in training mode, or it gives no row of scores for each picture.
    """
    check_inference(network)
    with torch.no_grad():
        indices: list[int] = _rows(_outputs(network, image)).argmax(1).tolist()
    return indices


@contextmanager
def taking(network: nn.Module, image: Float[Tensor, "n c h w"]) -> Iterator[None]:
    """Say in a line that a network can't take pictures like these; its own error stays the cause.

    Raises:
        SettingsError: it can't.
    """
    try:
        yield
    except (RuntimeError, AssertionError, ValueError) as error:  # what modules raise for shapes that they don't take
        if isinstance(error, VggappsError) or out_of_memory(error):
            raise
        shape, said = " x ".join(map(str, image.shape[1:])), str(error).strip().partition("\n")[0]
        raise SettingsError(
            f"{type(network).__name__} can't take pictures of {shape}: {said or type(error).__name__}",
            "give pictures of the size and number of colours it was made for, or a preprocess that makes them so",
        ) from error


def exact(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """At least in float32, which sums over many numbers need."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def finite(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """With zero for what is no number: a slope that is infinite, as a root's at zero, counts nothing."""
    return torch.where(x.isfinite(), x, 0)


def _rows(scores: Float[Tensor, "n classes ..."]) -> Float[Tensor, "n classes"]:
    """Class scores; those of a dense network are averaged over its positions."""
    return scores.flatten(2).mean(2) if scores.ndim > 2 else scores


def _outputs(network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n classes ..."]:
    with taking(network, image):
        scores = features(network, image, (OUTPUT,))[OUTPUT]
    return _row_each(scores, len(image))


def _row_each(scores: Float[Tensor, "n ..."], pictures: int) -> Float[Tensor, "n classes ..."]:
    """A network's output, with a row for each picture also where that is one number.

    Raises:
        SettingsError: there is not one for each.
    """
    if scores.ndim == 0 and pictures == 1:  # squeezed
        scores = scores[None]
    if scores.ndim == 0 or len(scores) != pictures:
        shape = " x ".join(map(str, scores.shape)) or "one number"
        raise SettingsError(
            f"for {pictures} pictures of a batch the network gives {shape}",
            "it must give a row of class scores for each",
        )
    return scores[:, None] if scores.ndim == 1 else scores


def _objective(network: nn.Module, target: object) -> Objective:
    """One target's objective."""
    if isinstance(target, str):
        target = parse(target, network)
    if not isinstance(target, Objective):
        return _class(network, _index(target))
    if target.references:
        raise SettingsError(f"{target.text} compares with a picture", "ask for a class, a layer or a channel")
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
    """A class, with its name where that is known."""
    labels = labels_for(network)
    if not labels:
        return class_score(index)
    if not 0 <= index < len(labels):
        raise SettingsError(f"there is no class {index}", f"the last one is {len(labels) - 1}")
    return class_score(index, labels[index].name)
