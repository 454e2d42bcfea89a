"""A preconditioner for losses of features, which react to fine detail more strongly than to large areas."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def favour_large(gradient: Float[Tensor, "n c h w"], corner: float) -> Float[Tensor, "n c h w"]:
    """Divide the amplitude at each frequency f by 1 + f / ``corner``, with both in cycles per pixel."""
    height, width = gradient.shape[2:]
    rows = torch.fft.fftfreq(height, device=gradient.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=gradient.device)
    amplitudes = torch.fft.rfft2(gradient) / (1 + torch.hypot(rows, columns) / corner)
    favoured: Tensor = torch.fft.irfft2(amplitudes, s=(height, width))
    return favoured
