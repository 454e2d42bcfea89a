"""A photo of any size painted in parts, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps._progress import tracked
from vggapps.image import resize, scaled
from vggapps.painters._network import Painter
from vggapps.style._tiling import tiles
from vggapps.vgg._device import pick_dtype

TILE = 1024  # side in pixels of the parts that are painted at once
THUMBNAIL = 1024  # longer side in pixels of the photo that the statistics are measured on


@torch.inference_mode()
def paint_tensor(
    painter: Painter,
    photo: Float[Tensor, "1 3 h w"],
    styles: Mapping[str, float],
    *,
    strength: float = 0.5,
    dtype: str = "auto",
    progress: bool = False,
) -> Float[Tensor, "1 3 h w"]:
    """Paint a photo in one pass, at its size.

    A photo of up to 1,024 px is painted as a whole. A larger one is painted in parts with the statistics of a copy of
    1,024 px; the parts overlap by what a pixel of the result depends on, so that there are no seams.

    Args:
        painter: on its device.
        photo: RGB in [0, 1].
        styles: names and weights, see :meth:`Painter.mix`.
        strength: see :meth:`Painter.mix`.
        dtype: of the convolutions, ``auto``, ``float32`` or ``bfloat16``.
        progress: show a progress bar on stderr.

    Returns:
        RGB in [0, 1], float32 on the CPU.

    Raises:
        SettingsError: see :meth:`Painter.mix`.
    """
    mix = painter.mix(styles, strength)
    device, kind = mix.device, pick_dtype(dtype, mix.device)
    height, width = photo.shape[2:]
    with torch.autocast(device.type, kind, enabled=kind != torch.float32):
        if max(height, width) <= THUMBNAIL:
            return _finished(painter(_on(photo, device), mix))
        statistics = painter.statistics(_on(resize(photo, scaled(height, width, THUMBNAIL)), device), mix)
        result = torch.empty(1, 3, height, width)
        parts = tiles((height, width), TILE, painter.reach)
        for tile in tracked(parts, "painting", quiet=not progress):
            part = painter(_on(photo[:, :, *tile.outer], device), mix, statistics)
            result[:, :, *tile.core] = tile.crop(_finished(part), 1)
        return result


def _on(photo: Tensor, device: torch.device) -> Tensor:
    return photo.to(device).contiguous(memory_format=torch.channels_last)


def _finished(painted: Tensor) -> Tensor:
    return painted.float().clamp(0, 1).cpu()
