"""Small random movements between a picture and the network, so that what is drawn does not hang on single pixels.

The picture is drawn larger than the network sees it, by a margin, and the network's view moves about in it: nothing
is filled in, and what would lie beyond the margin is mirrored. A constant border would itself be something to see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from kornia.geometry.transform import get_rotation_matrix2d, warp_affine
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """How far the view moves.

    Attributes:
        jitter: pixels to each side.
        scale: the view is enlarged or shrunk by up to this factor.
        rotate: degrees to each side.
    """

    jitter: float
    scale: float = 1.1
    rotate: float = 8.0

    def __call__(
        self, image: Float[Tensor, "n 3 h w"], size: tuple[int, int], generator: torch.Generator
    ) -> Float[Tensor, "n 3 h2 w2"]:
        """One random view, of ``size``, of all pictures of a batch: the same of each."""
        draw = torch.rand(4, generator=generator) * 2 - 1
        middle = torch.tensor([(image.shape[3] - 1) / 2, (image.shape[2] - 1) / 2])
        angle, scale = draw[2:3] * self.rotate, (draw[3] * math.log(self.scale)).exp()
        matrix = get_rotation_matrix2d(middle[None], angle, scale.expand(1, 2))
        offset = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2]) - middle
        matrix[:, :, 2] += offset + draw[:2] * self.jitter
        view: Tensor = warp_affine(image, matrix.to(image).expand(len(image), -1, -1), size, padding_mode="reflection")
        return view
