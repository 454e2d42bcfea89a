"""No rim: a painted picture is as rough along its border as in its inside."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vggapps.image import open_picture, resize
from vggapps.optimize._step import last
from vggapps.style import StylizeSettings, load_backbone, stylize_steps
from vggapps.vgg._network import VGG

ASSETS = Path(__file__).parents[1] / "assets"
PLAIN = torch.tensor([200, 210, 230]).div(255).view(1, 3, 1, 1).expand(1, 3, 96, 128).contiguous()


@pytest.fixture(scope="module")
def real() -> VGG:
    """The installed VGG-19: a random network of no width shows the rim as it is."""
    return load_backbone(StylizeSettings(dtype="float32"))


def rings(image: Tensor, count: int) -> Tensor:
    """Mean difference of neighbours along each ring of pixels, from the border inwards."""
    rough = []
    for i in range(count):
        inner = image[0, :, i : image.shape[2] - i, i : image.shape[3] - i]
        sides = [inner[:, 0], inner[:, -1], inner[:, :, 0], inner[:, :, -1]]
        rough.append(torch.cat([(side[:, 1:] - side[:, :-1]).abs() for side in sides], 1).mean())
    return torch.stack(rough)


@pytest.mark.parametrize("photo", ["plain", "village"])
def test_the_border_is_painted_like_the_inside(real: VGG, photo: str) -> None:
    content = PLAIN if photo == "plain" else resize(open_picture(ASSETS / "content/village.jpg").rgb, (96, 128))
    style = resize(open_picture(ASSETS / "style/woodcut-waves.jpg").rgb, (120, 160))
    # From noise, texture is there after a few steps. One ring of so few pixels differs by chance, up to 0.25;
    # without a margin the outermost one by 0.65.
    of_seeds = []
    for seed in range(2):
        settings = StylizeSettings(size=128, steps=30, strength=0.8, init="noise", seed=seed)
        of_seeds.append(rings(last(stylize_steps(content, style, settings, vgg=real)).image(), 20))
    rough = torch.stack(of_seeds).mean(0)
    rim, inside = rough[:6], rough[6:].mean()
    assert (rim / inside - 1).abs().max() < 0.3
