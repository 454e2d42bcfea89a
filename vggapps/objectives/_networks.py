"""The networks that objectives look at, by name; the first one's is empty."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument
from vggapps.objectives._looking import device_of, is_grey, look
from vggapps.objectives._objective import Seen
from vggapps.objectives._text import Networks as Networks
from vggapps.vgg._fast import accelerate
from vggapps.vgg._plan import PLANS, Head, get_plan
from vggapps.vgg._settings import ClassSettings, NetworkSettings
from vggapps.weights._load import load_vgg


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
        own = re.findall(rf"\b{name}/(\w+)", text) if name else re.findall(r"(?<![\w/])\w+", text)
        plan, weights = get_plan(name or settings.backbone), "auto" if name else settings.weights
        convention = None if name else settings.convention
        classes = settings.classes if isinstance(settings, ClassSettings) and not name else None
        if classes and "class" not in own:
            raise SettingsError(f"{argument('classes', classes)} names classes, and none is asked for", "leave it out")
        head: Head | None = "none"
        if {"class", "fc8"} & set(own):
            head = "gap" if (plan.name, weights) == ("vgg19", "auto") else None
        elif any(re.fullmatch(r"(fc|relu|drop)[67]", layer) for layer in own):
            head = "fc"
        vgg = load_vgg(
            plan, weights, head=head, pooling=settings.pooling, padding="replicate-first",
            convention=convention, classes=classes,  # type: ignore[arg-type]
        )  # fmt: skip
        found[name] = accelerate(vgg, settings.device, settings.dtype)
    return found


def see(
    networks: Networks, image: Float[Tensor, "n 3 h w"], layers: Collection[str], references: Sequence[str] = ()
) -> Seen:
    """What networks see of pictures, in float32; the last pictures of the batch are the references, by name.

    Raises:
        SettingsError: see ``look``.
    """
    found: dict[str, Tensor] = {}
    for name, own in _by_network(networks, layers).items():
        prefix = f"{name}/" if name else ""
        found |= {prefix + layer: f.float() for layer, f in look(networks[name], image, own).items()}
    n = len(image) - len(references)
    compared = {name: {k: f[n + i : n + i + 1] for k, f in found.items()} for i, name in enumerate(references)}
    return Seen({layer: f[:n] for layer, f in found.items()}, compared)


def only_grey(networks: Networks, layers: Collection[str], image: Float[Tensor, "n 3 h w"]) -> bool:
    """Whether all networks that have these layers take grey pictures: colours then mean nothing to any of them.

    The picture is one of the size that they are to see.
    """
    image = image.to(device_of(networks[""]))
    return all(is_grey(networks[name], image, own) for name, own in _by_network(networks, layers).items())


def _by_network(networks: Networks, layers: Collection[str]) -> dict[str, list[str]]:
    """The layers of each network that has some of them, by their own names."""
    found: dict[str, list[str]] = {name: [] for name in networks}
    for layer in layers:
        name, _, own = layer.rpartition("/")
        found[name].append(own)
    return {name: own for name, own in found.items() if own}
