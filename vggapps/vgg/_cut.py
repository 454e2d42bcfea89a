"""A network in two parts, at a layer: what comes before it, and what comes after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.vgg._any import features
from vggapps.vgg._frozen import lean
from vggapps.vgg._hooks import OUTPUT, record, replacing
from vggapps.vgg._network import VGG

Map = Float[Tensor, "n c *hw"]


class Cut:
    """A network cut at a layer, so that the layer's numbers can be looked at, differentiated by, and replaced.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 5))
    >>> cut = Cut(net, "1")
    >>> image = torch.rand(2, 3, 8, 8)
    >>> torch.equal(cut.after(cut.before(image))[OUTPUT], net(image))
    True

    Args:
        network: ours, which runs only the part that is asked for; or any module, which runs as a whole for each part.
        layer: where to cut, ``relu5_4``; in a module a path of ``named_modules()``, ``layer4.1.relu``.
        ends: the layers that :meth:`after` gives; ``OUTPUT`` is the network's own.

    Raises:
        SettingsError: no such layer, or an end that lies before the cut.
    """

    def __init__(self, network: nn.Module, layer: str, ends: Iterable[str] = (OUTPUT,)) -> None:
        self.network, self.layer, self.ends = network, layer, tuple(ends)
        self.pictures: Tensor | None = None  # for modules, which have to run as a whole
        self._ours = network if isinstance(network, VGG) else None
        if not self._ours:
            return
        network = self._ours
        names = list(network.layer_names)
        network.check((layer, *self._named(network)))
        for end in self._named(network):
            if names.index(end) < names.index(layer):
                raise SettingsError(f"{end} comes before {layer}", "take a layer before it")

    def before(self, image: Float[Tensor, "n 3 h w"]) -> Map:
        """The layer's output for pictures in [0, 1]."""
        self.pictures = image.detach()
        return features(self.network, image, (self.layer,))[self.layer]

    def after(self, activations: Map, picture: int | None = None) -> Mapping[str, Tensor]:
        """What the network makes of the layer's numbers: each of the ends, by name.

        Args:
            activations: one row for each picture that :meth:`before` was given; any number of them if it was one.
            picture: the one that all rows belong to. It matters where the network has ways around the layer.
        """
        if self._ours:
            return self._after(self._ours, activations)
        assert self.pictures is not None, "before() comes first"
        pictures = self.pictures if picture is None else self.pictures[picture : picture + 1]
        ends = [end for end in self.ends if end != self.layer]
        with replacing(self.network, self.layer, activations), record(self.network, ends) as found:
            self.network(pictures.expand(len(activations), -1, -1, -1))
        return {end: activations if end == self.layer else found[end] for end in self.ends}

    def _after(self, network: VGG, activations: Tensor) -> dict[str, Tensor]:
        ends = self._named(network)
        found, x = {self.layer: activations} if self.layer in ends else {}, activations
        children = list(network.named_children())
        rest = children[[name for name, _ in children].index(self.layer) + 1 :]
        for name, step in lean(rest, set(ends)):
            if len(found) == len(set(ends)):
                break
            x = step(x)
            if name in ends:
                found[name] = x
        return {end: found[name] for end, name in zip(self.ends, ends, strict=True)}

    def _named(self, network: VGG) -> tuple[str, ...]:
        return tuple(network.layer_names[-1] if end == OUTPUT else end for end in self.ends)
