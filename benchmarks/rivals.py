"""The published packages and a hand-written loss, on the same random weights as ours, without any download."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from vggapps import VGG, load_vgg
from vggapps.losses import DISTS, LPIPS, Trunk

ARCHES = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}


def features(arch: str) -> nn.Sequential:
    """torchvision's layers with random weights, the same at every call."""
    torch.manual_seed(0)
    with torch.device("meta"):
        made = getattr(torchvision.models, arch)(weights=None).features
    made = made.to_empty(device="cpu")
    for parameter in made.parameters():
        if parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.01)
    return made.eval().requires_grad_(False)


def ours(arch: str) -> VGG | Trunk:
    """Our network with those weights."""
    if arch in ("alexnet", "squeezenet1_1"):
        return Trunk(arch, features(arch))
    vgg = load_vgg(arch, None, head="none")
    sources = [m for m in features(arch) if isinstance(m, nn.Conv2d)]
    for module, source in zip((m for m in vgg.modules() if isinstance(m, nn.Conv2d)), sources, strict=True):
        module.load_state_dict(source.state_dict())
    vgg.weights_name = f"random-{arch}"
    return vgg


def published(make: Callable[[], nn.Module]) -> nn.Module:
    """A package's loss on these networks in place of its download."""
    kept = {arch: getattr(torchvision.models, arch) for arch in ARCHES.values()}
    for arch in kept:
        shell = nn.Module()
        shell.features = features(arch)
        setattr(torchvision.models, arch, lambda *_, shell=shell, **__: shell)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return make().eval().requires_grad_(False)
    finally:
        for arch, constructor in kept.items():
            setattr(torchvision.models, arch, constructor)


def theirs(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """``lpips`` or ``DISTS-pytorch``, called as their pages say, for pictures in [0, 1]."""
    import DISTS_pytorch
    import lpips

    if name == "dists":
        dists = published(DISTS_pytorch.DISTS)
        return lambda x, y: dists.to(x)(x, y, require_grad=True)
    module = published(lambda: lpips.LPIPS(net=name, verbose=False))
    return lambda x, y: module.to(x)(x, y, normalize=True).flatten()


def mine(name: str) -> LPIPS | DISTS:
    """Ours on the same network."""
    if name == "dists":
        return DISTS(backbone=ours("vgg16"), reduction="none")
    return LPIPS(name, backbone=ours(ARCHES[name]), reduction="none")


class HookLoss(nn.Module):
    """What people write: torchvision's layers, hooks, L1, the target without gradient."""

    def __init__(self, weights: dict[str, float]) -> None:
        super().__init__()
        names = load_vgg("vgg19", None, head="none").layer_names
        indices = {names.index(layer): weight for layer, weight in weights.items()}
        self.net = features("vgg19")[: max(indices) + 1]
        self.weights, self.found = indices, {}
        for index in indices:
            self.net[index].register_forward_hook(
                lambda _, __, out, index=index: self.found.update({index: out.clone()})
            )
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def look(self, x: Tensor) -> dict[int, Tensor]:
        self.net((x - self.mean) / self.std)
        return dict(self.found)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.look(y)
        own = self.look(x)
        self.found.clear()
        return sum(weight * F.l1_loss(own[index], wanted[index]) for index, weight in self.weights.items())
