"""The networks that objectives look at, by name; the first one's is empty."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.objectives._objective import Objective, Seen
from vggapps.objectives._text import Networks as Networks
from vggapps.objectives._text import by_name
from vggapps.optimize._engine import Render
from vggapps.vgg._any import as_network
from vggapps.vgg._foreign import luminance
from vggapps.vgg._plan import PLANS, layer_names
from vggapps.vgg._settings import ClassSettings, NetworkSettings
from vggapps.weights._backbone import Needs, load_network

_LAYERS = {layer for plan in PLANS.values() for layer in layer_names(plan, "fc")}


def load_networks(texts: Sequence[str], settings: NetworkSettings) -> Networks:
    """The networks that objectives in text form need, as they run fastest, with heads where they ask for one.

    Raises:
        SettingsError: a wrong name, a convention where the weights' own is known, or names of classes where no class
            is asked for.
        WeightsError: weights that can't be had.
    """
    text = " ".join(texts)
    others = [name for name in PLANS if re.search(rf"\b{name}/", text)]
    found: dict[str, nn.Module] = {}
    for name in ["", *others]:
        needs, layers = needed(text, name)
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
    """The given networks by name; those that the objectives in text form need are loaded if none is given.

    Raises:
        As :func:`load_networks`.
    """
    if network is not None:
        return by_name(network)
    return load_networks([one for one in objectives if isinstance(one, str)], settings)


def needed(text: str, name: str = "") -> tuple[Needs, list[str]]:
    """What objectives in text form need of the network of that name, and layers that it has to have."""
    own = re.findall(rf"\b{name}/(\w+)", text) if name else re.findall(r"(?<![\w/])\w+", text)
    needs: Needs = "classes" if {"class", "fc8"} & set(own) else "features"
    return needs, [word for word in own if word in _LAYERS]


def see(
    networks: Networks, image: Float[Tensor, "n 3 h w"], layers: Collection[str], references: Sequence[str] = ()
) -> Seen:
    """What networks see of pictures, in float32; the last pictures of the batch are the references, by name.

    Raises:
        SettingsError: see :meth:`~vggapps.vgg._foreign.Foreign.look`.
    """
    found: dict[str, Tensor] = {}
    for name, own in _by_network(networks, layers).items():
        prefix = f"{name}/" if name else ""
        found |= {prefix + layer: f.float() for layer, f in as_network(networks[name]).look(image, own).items()}
    n = len(image) - len(references)
    compared = {name: {k: f[n + i : n + i + 1] for k, f in found.items()} for i, name in enumerate(references)}
    return Seen({layer: f[:n] for layer, f in found.items()}, compared)


def in_grey(render: Render) -> Render:
    """The same pictures without colours, of three equal channels."""
    return lambda leaves: luminance(render(leaves)).expand(-1, 3, -1, -1)


def only_grey(networks: Networks, layers: Collection[str], image: Float[Tensor, "n 3 h w"]) -> bool:
    """Whether all networks that have these layers take grey pictures: colours then mean nothing to any of them.

    The picture is one of the size that they are to see.
    """
    image = image.to(as_network(networks[""]).device)
    return all(as_network(networks[name]).is_grey(image, own) for name, own in _by_network(networks, layers).items())


def _by_network(networks: Networks, layers: Collection[str]) -> dict[str, list[str]]:
    """The layers of each network that has some of them, by their own names."""
    found: dict[str, list[str]] = {name: [] for name in networks}
    for layer in layers:
        name, _, own = layer.rpartition("/")
        found[name].append(own)
    return {name: own for name, own in found.items() if own}
