"""Focal frequency loss: what a picture gets wrong in the frequency domain, the worst frequencies first."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.losses._quality import comparable


def focal_frequency(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, alpha: float = 1.0
) -> Float[Tensor, " n"]:
    """mean(w · D²), with D the distance of both spectra and w = (D / max D)^α: one number a picture, 0 for equal ones.

    Jiang et al. 2021 (2012.12821), sections 3.2 and 3.3, whole pictures: an orthonormal Fourier transform of each
    channel, the maximum over each channel's frequencies, and a weight that is a constant to the gradient.

    Args:
        x: pictures in [0, 1].
        y: what they should be.
        alpha: how far the worst frequencies are preferred; 0 weighs all alike, which is the mean squared error.

    Raises:
        SettingsError: the shapes differ, or alpha is negative.
    """
    if alpha < 0:
        raise SettingsError(f"alpha is {alpha:g}", "give 0, which weighs all frequencies alike, or more")
    x, y = comparable(x, y)
    distance = torch.view_as_real(torch.fft.fft2(x - y, norm="ortho")).square().sum(-1)  # D²; linear, so one transform
    weight = distance.detach()
    worst = weight.amax((2, 3), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)  # equal pictures have no worst
    return ((weight / worst) ** (alpha / 2) * distance).mean((1, 2, 3))
