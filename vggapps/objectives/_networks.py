"""The networks of objectives, by name (the main one has an empty name), and their forward pass."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.objectives._objective import Activations, Objective
from vggapps.objectives._text import Networks as Networks
from vggapps.objectives._text import by_name
from vggapps.optimize._engine import Render
from vggapps.vgg._plan import PLANS, layer_names
from vggapps.vgg._settings import ClassSettings, NetworkSettings
from vggapps.vgg._wrapped import as_network, luminance
from vggapps.weights._backbone import Needs, load_network

_LAYERS = {layer for plan in PLANS.values() for layer in layer_names(plan, "fc")}


def load_networks(objectives: Sequence[str | Objective], settings: NetworkSettings) -> Networks:
    """Load the networks that objectives in text form need, with a head only if an objective needs one.

    Raises:
        SettingsError: an unknown network, a convention for weights whose convention is known, or class names although
            no objective is a class.
        WeightsError: the weights are not available.
    """
    text = " ".join(one for one in objectives if isinstance(one, str))
    others = [name for name in PLANS if re.search(rf"\b{name}/", text)]
    found: dict[str, nn.Module] = {}
    for name in ["", *others]:
        needs, layers = requirements(text, name)
        found[name] = load_network(
            name or settings.backbone,
            needs=needs,
            layers=layers,
            pooling=settings.pooling,
            padding="replicate-first",
            convention=None if name else settings.convention,
            classes=settings.classes if isinstance(settings, ClassSettings) and not name else None,
            device=settings.device,
            dtype=settings.dtype,
        )
    return found


def networks_of(
    network: nn.Module | Networks | None, objectives: Sequence[str | Objective], settings: NetworkSettings
) -> Networks:
    """The given networks by name; those that the objectives need are loaded if none is given."""
    return load_networks(objectives, settings) if network is None else by_name(network)


def requirements(text: str, name: str = "") -> tuple[Needs, list[str]]:
    """The outputs and layers that objectives in text form need from the network of that name."""
    own = re.findall(rf"\b{name}/(\w+)", text) if name else re.findall(r"(?<![\w/])\w+", text)
    needs: Needs = "classes" if {"class", "fc8"} & set(own) else "features"
    return needs, [word for word in own if word in _LAYERS]


def compute_activations(
    networks: Networks, image: Float[Tensor, "n 3 h w"], layers: Collection[str], references: Sequence[str] = ()
) -> Activations:
    """A forward pass through the networks; features are float32. The last images of the batch are the ``references``.

    Raises:
        SettingsError: see :meth:`~vggapps.vgg._wrapped.WrappedModule.eval_features`.
    """
    found: dict[str, Tensor] = {}
    for name, own in _by_network(networks, layers).items():
        prefix = f"{name}/" if name else ""
        found |= {
            prefix + layer: f.float() for layer, f in as_network(networks[name]).eval_features(image, own).items()
        }
    n = len(image) - len(references)
    compared = {name: {k: f[n + i : n + i + 1] for k, f in found.items()} for i, name in enumerate(references)}
    return Activations({layer: f[:n] for layer, f in found.items()}, compared)


def grey_render(render: Render) -> Render:
    """The same images in grey, with three equal channels."""
    return lambda leaves: luminance(render(leaves)).expand(-1, 3, -1, -1)


def expects_grey(networks: Networks, layers: Collection[str], image: Float[Tensor, "n 3 h w"]) -> bool:
    """Whether all networks with these layers take grey input, tested with an image of the size to be used."""
    image = image.to(as_network(networks[""]).device)
    return all(as_network(networks[name]).is_grey(image, own) for name, own in _by_network(networks, layers).items())


def _by_network(networks: Networks, layers: Collection[str]) -> dict[str, list[str]]:
    """The layers grouped by network, without the network's name."""
    found: dict[str, list[str]] = {name: [] for name in networks}
    for layer in layers:
        name, _, own = layer.rpartition("/")
        found[name].append(own)
    return {name: own for name, own in found.items() if own}
