"""Ways to write a picture as numbers: there and back, and what each of them promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from vggapps.optimize._parameterize import (
    COLORS,
    Parameters,
    cppn,
    fourier,
    from_colors,
    laplacian,
    maco,
    pixel,
    resampled,
    spectrum_of,
    to_colors,
)
from vggapps.visualization._natural import load_spectrum

SIZES = [(32, 32), (33, 48), (50, 31)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(n: int, size: tuple[int, int]) -> Tensor:
    return torch.rand(n, 3, *size, generator=generator(5))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("parameterize", [pixel, fourier, laplacian])
def test_a_picture_comes_back_within_two_levels(
    parameterize: Callable[[tuple[int, int], Tensor], Parameters], size: tuple[int, int]
) -> None:
    image = picture(2, size)
    parameters = parameterize(size, image)
    assert (parameters.render(parameters.leaves) - image).abs().max() < 2 / 255


@pytest.mark.parametrize("parameterize", [pixel, fourier, laplacian])
def test_a_picture_of_another_size_is_fitted(
    parameterize: Callable[[tuple[int, int], Tensor], Parameters],
) -> None:
    parameters = parameterize((24, 40), picture(1, (48, 80)))
    assert parameters.render(parameters.leaves).shape == (1, 3, 24, 40)


@pytest.mark.parametrize("size", SIZES)
def test_every_parameterization_gives_pictures_whose_leaves_get_gradients(size: tuple[int, int]) -> None:
    spectrum = load_spectrum()
    made = {
        "fourier": fourier(size, picture(2, size)),
        "laplacian": laplacian(size, picture(2, size)),
        "maco": maco(size, 2, spectrum, generator()),
        "cppn": cppn(size, 2, generator()),
    }
    for name, parameters in made.items():
        leaves = [leaf.requires_grad_() for leaf in parameters.leaves]
        image = parameters.render(leaves)
        assert image.shape == (2, 3, *size), name
        assert 0 <= float(image.detach().min()) <= float(image.detach().max()) <= 1, name
        gradients = torch.autograd.grad((image * picture(2, size)).sum(), leaves)
        assert all(g.isfinite().all() for g in gradients), name
        assert any(g.any() for g in gradients), name


def test_colours_there_and_back() -> None:
    image = 0.01 + 0.98 * picture(2, (5, 7))
    torch.testing.assert_close(to_colors(from_colors(image)), image)


def test_decorrelated_colours_vary_as_natural_ones() -> None:
    """C yields, from independent values, the covariance that was measured: C Cᵀ is proportional to it."""
    colors = torch.tensor(COLORS)
    y = torch.randn(100_000, 3, generator=generator())
    covariance = torch.cov((y @ colors.T).T)
    torch.testing.assert_close(covariance, colors @ colors.T, atol=2e-3, rtol=0.02)
    # Columns of U √S are orthogonal: brightness has nothing to do with either colour.
    inner = colors.T @ colors
    assert float((inner - inner.diag().diag()).abs().max()) < 2e-3


@pytest.mark.parametrize("size", SIZES)
def test_maco_keeps_the_magnitude_of_every_frequency_up_to_one_factor_whatever_the_phases(
    size: tuple[int, int],
) -> None:
    spectrum = load_spectrum()
    parameters = maco(size, 2, spectrum, generator())
    for seed in (1, 2):
        phases = parameters.leaves[0] + 3 * torch.randn(parameters.leaves[0].shape, generator=generator(seed))
        y = from_colors(parameters.render([phases])).double()
        ratio = torch.fft.rfft2(y).abs() / resampled(spectrum, size).double().clamp_min(1e-12)
        ratio = ratio.flatten(1)[:, 1:]  # the mean colour is none of the frequencies
        ratio = torch.stack([r[r < 1e6] for r in ratio])
        assert float((ratio.std(1) / ratio.mean(1)).max()) < 1e-3


def test_the_spectrum_is_that_of_numpy() -> None:
    image = picture(3, (16, 20))
    y = from_colors(image).double().numpy()
    y = y - y.mean((2, 3), keepdims=True)
    window = np.hanning(18)[1:-1, None] * np.hanning(22)[1:-1]
    expected = np.abs(np.fft.rfft2(y * window, norm="ortho")).mean(0)
    np.testing.assert_allclose(spectrum_of(image), expected, rtol=1e-3, atol=1e-4)


def test_a_spectrum_at_its_own_size_is_itself_and_at_others_one_over_f_stays_so() -> None:
    rows, columns = torch.fft.fftfreq(64)[:, None], torch.fft.rfftfreq(64)
    law = 1 / (rows.square() + columns.square()).sqrt().clamp_min(1 / 64)
    spectrum = law.expand(3, -1, -1)
    same = resampled(spectrum, (64, 64))
    torch.testing.assert_close(same.flatten(1)[:, 1:], spectrum.flatten(1)[:, 1:])
    other = resampled(spectrum, (40, 51))
    rows, columns = torch.fft.fftfreq(40)[:, None], torch.fft.rfftfreq(51)
    expected = 1 / (rows.square() + columns.square()).sqrt().clamp_min(1 / 64)
    # Linear interpolation of a convex law lies above it, most at low frequencies.
    high = (rows.square() + columns.square()).sqrt() > 0.1
    torch.testing.assert_close(other[0][high], expected[high], rtol=0.02, atol=0)


def test_natural_spectra_fall_about_as_one_over_the_frequency() -> None:
    """D. Field, Relations between the statistics of natural images, JOSA A 1987: amplitude falls as 1/f."""
    spectrum = load_spectrum()[0]
    frequency = torch.arange(2, 40) / 128
    amplitude = (spectrum[0, 2:40] + spectrum[2:40, 0]) / 2
    slope = np.polyfit(frequency.log().numpy(), amplitude.log().numpy(), 1)[0]
    assert -1.5 < slope < -0.8


def test_a_cppn_draws_the_same_at_any_size() -> None:
    small, large = (cppn(size, 1, generator()) for size in ((9, 9), (17, 17)))
    leaves = [leaf + 0.3 * torch.randn(leaf.shape, generator=generator(3)) for leaf in small.leaves]
    torch.testing.assert_close(large.render(leaves)[:, :, ::2, ::2], small.render(leaves), atol=1e-5, rtol=1e-4)
