"""Fractal noise, flow fields made from it, and streaks that follow a field."""

import numpy as np
from PIL import Image
from scipy import ndimage

from drawing.colour import Array, blur


def smooth_noise(width: int, height: int, cell: float | tuple[float, float], seed: int) -> Array:
    """Random values about 0 (spread about 1), smooth over ``cell`` pixels (across, down)."""
    across, down = cell if isinstance(cell, tuple) else (cell, cell)
    columns, rows = int(width / across) + 4, int(height / down) + 4
    coarse = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    # One cell is left out at each side, where the cubic filter would have nothing to lean on.
    box = (1, 1, 1 + width / across, 1 + height / down)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC, box=box))


def fbm(
    width: int, height: int, cell: float | tuple[float, float], seed: int, octaves: int = 5, gain: float = 0.5
) -> Array:
    """Fractal sum of smooth noise: each octave half as coarse and ``gain`` as strong; spread about 1."""
    across, down = cell if isinstance(cell, tuple) else (cell, cell)
    total = np.zeros((height, width), np.float32)
    power = 0.0
    for octave in range(octaves):
        size = (max(across / 2**octave, 1.0), max(down / 2**octave, 1.0))
        total += gain**octave * smooth_noise(width, height, size, seed + 101 * octave)
        power += gain ** (2 * octave)
    # A cubic interpolation of unit noise has a spread of about 0.7.
    return total / (0.7 * np.sqrt(power))


def ridge_line(width: int, cell: float, seed: int, octaves: int = 6, gain: float = 0.5) -> Array:
    """A jagged line (one value per column), for the outline of hills and tree tops."""
    return fbm(width, 4, (cell, 4), seed, octaves, gain)[1]


def curl(potential: Array) -> tuple[Array, Array]:
    """Flow along the contour lines of ``potential``: free of sources, so strokes never bunch up."""
    dy, dx = np.gradient(potential)
    return dy, -dx


def unit(u: Array, v: Array) -> tuple[Array, Array]:
    """The same directions with length 1."""
    length = np.hypot(u, v) + 1e-9
    return u / length, v / length


def streaks(u: Array, v: Array, cell: float, length: int, seed: int) -> Array:
    """Noise smeared along a field (line integral convolution), ranked to an even 0..1."""
    height, width = u.shape
    grain = smooth_noise(width, height, cell, seed)
    start = np.mgrid[:height, :width].astype(np.float32)
    total = grain.copy()
    for sign in (-2.0, 2.0):
        y, x = start.copy()
        for _ in range(length // 2):
            at = (y, x)
            du, dv = (ndimage.map_coordinates(f, at, order=0, mode="nearest") for f in (u, v))
            x, y = x + sign * du, y + sign * dv
            total += ndimage.map_coordinates(grain, (y, x), order=1, mode="nearest")
    return even(blur(total, 1.0))


def even(values: Array) -> Array:
    """Replace values by their rank, so that every shade of a ramp covers the same area."""
    levels = np.quantile(values, np.linspace(0, 1, 129))
    return np.interp(values, levels, np.linspace(0, 1, 129)).astype(np.float32)
