"""Pictures of noise, some of them broken, for tests of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vggapps.errors import PictureError
from vggapps.training._augmentation import evaluate_transform

PLAIN = evaluate_transform(16, 16)


@dataclass(frozen=True)
class Noise:
    """Pictures of noise; some are broken."""

    broken: tuple[int, ...] = ()

    def __call__(self, index: int) -> Image.Image:
        if index in self.broken:
            raise PictureError(f"picture {index}: it is damaged")
        return Image.fromarray(np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8))
