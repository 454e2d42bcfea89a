"""A network split at a layer into the part before and the part after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.vgg._hooks import OUTPUT, record, replace_output
from vggapps.vgg._input_gradients import input_gradient_steps
from vggapps.vgg._network import VGG
from vggapps.vgg._wrapped import features

Map = Float[Tensor, "n c *hw"]


class Cut:
    """A network split at a layer, to read, differentiate by, and replace the layer's activations.

    >>> import torch
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 5))
    >>> cut = Cut(net, "1")
    >>> image = torch.rand(2, 3, 8, 8)
    >>> torch.equal(cut.after(cut.before(image))[OUTPUT], net(image))
    True

    Args:
        network: a VGG, of which only the part in question runs; or any other module, which runs as a whole.
        layer: where to split, ``relu5_4``; in another module a path of ``named_modules()``, ``layer4.1.relu``.
        ends: the layers that :meth:`after` returns; ``OUTPUT`` is the network's own output.

    Raises:
        SettingsError: no such layer, or an end before the split.
    """

    def __init__(self, network: nn.Module, layer: str, ends: Iterable[str] = (OUTPUT,)) -> None:
        self.network, self.layer, self.ends = network, layer, tuple(ends)
        self.pictures: Tensor | None = None  # for modules that run as a whole
        if not isinstance(network, VGG):
            return
        names, ends = list(network.layer_names), self._end_names(network)
        network.check((layer, *ends))
        for end in ends:
            if names.index(end) < names.index(layer):
                raise SettingsError(f"{end} comes before {layer}", "use a layer before it")

    def before(self, image: Float[Tensor, "n 3 h w"]) -> Map:
        """The layer's output for RGB in [0, 1]."""
        self.pictures = image.detach()
        return features(self.network, image, (self.layer,))[self.layer]

    def after(self, activations: Map, picture: int | None = None) -> Mapping[str, Tensor]:
        """The ends by name, for activations of the layer.

        Args:
            activations: one row for each image of the last call of :meth:`before`; any number of rows for one image.
            picture: index of the image that all rows belong to; relevant if paths of the network bypass the layer.
        """
        if isinstance(self.network, VGG):
            return self._after(self.network, activations)
        assert self.pictures is not None, "before() comes first"
        pictures = self.pictures if picture is None else self.pictures[picture : picture + 1]
        ends = [end for end in self.ends if end != self.layer]
        with replace_output(self.network, self.layer, activations), record(self.network, ends) as found:
            self.network(pictures.expand(len(activations), -1, -1, -1))
        return {end: activations if end == self.layer else found[end] for end in self.ends}

    def _after(self, network: VGG, activations: Tensor) -> dict[str, Tensor]:
        ends = self._end_names(network)
        found, x = {self.layer: activations} if self.layer in ends else {}, activations
        children = list(network.named_children())
        rest = children[[name for name, _ in children].index(self.layer) + 1 :]
        for name, step in input_gradient_steps(rest, set(ends)):
            if len(found) == len(set(ends)):
                break
            x = step(x)
            if name in ends:
                found[name] = x
        return {end: found[name] for end, name in zip(self.ends, ends, strict=True)}

    def _end_names(self, network: VGG) -> tuple[str, ...]:
        return tuple(network.layer_names[-1] if end == OUTPUT else end for end in self.ends)
