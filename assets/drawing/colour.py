"""Colours as float arrays in 0..1 and the few operations that every picture needs."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

Array = np.ndarray
Point = tuple[float, float]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def rgb(code: str) -> Array:
    """Colour of a hexadecimal code such as ``"1b3a8f"``."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255


def palette(codes: str) -> Array:
    """Colours of several codes parted by blanks."""
    return np.stack([rgb(code) for code in codes.split()])


def ramp(t: Array, colours: Array, stops: Sequence[float] | None = None) -> Array:
    """Colour at each value of ``t``, interpolated between ``colours`` that lie at ``stops`` (0..1)."""
    at = np.linspace(0, 1, len(colours)) if stops is None else np.asarray(stops)
    return np.stack([np.interp(t, at, colours[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def smoothstep(low: float, high: float, t: Array) -> Array:
    """0 below ``low``, 1 above ``high``, a smooth s between; ``low > high`` turns it round."""
    s = np.clip((t - low) / (high - low), 0, 1)
    return s * s * (3 - 2 * s)


def mix(a: Array, b: Array, t: Array | float) -> Array:
    """``a`` where ``t`` is 0, ``b`` where it is 1; a map ``t`` of one channel serves all three."""
    if isinstance(t, np.ndarray) and t.ndim == 2:
        t = t[..., None]
    return a * (1 - t) + b * t


def saturate(image: Array, amount: float) -> Array:
    """Push colours away from (above 1) or towards (below 1) their own grey."""
    grey = (image @ LUMA)[..., None]
    return grey + (image - grey) * amount


def blur(image: Array, sigma: float | tuple[float, float]) -> Array:
    """Gaussian blur over the first two axes."""
    s = (sigma, sigma) if isinstance(sigma, int | float) else sigma
    return ndimage.gaussian_filter(image, s + (0,) * (image.ndim - 2))


def pixels(width: int, height: int) -> tuple[Array, Array]:
    """Coordinates x and y of every pixel, as two maps."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def polygon(width: int, height: int, points: Sequence[Point] | Array, sharp: int = 3) -> Array:
    """Anti-aliased coverage (0..1) of a polygon given in pixels."""
    big = Image.new("L", (width * sharp, height * sharp))
    ImageDraw.Draw(big).polygon([(x * sharp, y * sharp) for x, y in points], fill=255)
    return np.asarray(big.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def spline(points: Sequence[Point], count: int = 200) -> Array:
    """``count`` points on a Catmull-Rom curve through ``points``."""
    p = np.asarray(points, float)
    p = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    t = np.linspace(0, len(points) - 1, count)
    i = np.minimum(t.astype(int), len(points) - 2)
    u = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)


def to_image(image: Array) -> Image.Image:
    """The picture of a float array."""
    return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))


def to_array(image: Image.Image) -> Array:
    """The float array of a picture."""
    return np.asarray(image, np.float32) / 255


def shrink(image: Image.Image, factor: int) -> Image.Image:
    """The picture at a whole fraction of its size: what makes supersampled edges smooth."""
    return image.resize((image.width // factor, image.height // factor), Image.Resampling.LANCZOS)
