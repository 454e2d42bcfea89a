"""What landscapes are made of: clouds, ridges in the haze, leafy trees, water that mirrors the scene."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from drawing.colour import Array, Point, blur, mix, palette, pixels, ramp, smoothstep, to_array, to_image
from drawing.noise import even, fbm, ridge_line, smooth_noise

SCALE = 2  # landscapes are drawn at twice their finished size
WIDTH, HEIGHT = 900 * SCALE, 675 * SCALE


@dataclass(frozen=True)
class Light:
    """Where the sun stands (to the right and below what it lights, in any unit) and its colours."""

    dx: float
    dy: float
    sun: str
    shade: str


def clouds(
    width: int, height: int, heaps: list[tuple[float, float, float]], seed: int, light: Light
) -> tuple[Array, Array]:
    """Heaped clouds, each (x, y of its base, width): their density and how brightly each part is lit."""
    x, y = pixels(width, height)
    rng = np.random.default_rng(seed)
    ragged = fbm(width, height, width / 14, seed, 7, 0.58)
    fine = fbm(width, height, width / 40, seed + 50, 5, 0.6)
    bulk = np.full_like(x, -3.0)
    belly = np.zeros_like(x)
    for cx, base, wide in heaps:
        for _ in range(11):
            off = rng.uniform(-0.5, 0.5)
            radius = wide * rng.uniform(0.08, 0.20) * (1.25 - 1.5 * abs(off))
            px, py = (
                cx + off * wide,
                base - radius * rng.uniform(0.5, 1.1) - wide * 0.12 * (0.5 - abs(off)) * rng.uniform(),
            )
            # Far from a puff nothing of it is left, so only its surroundings are worked out.
            reach = 2.4 * radius
            rows = slice(max(int(py - reach), 0), max(int(py + reach), 0))
            columns = slice(max(int(px - reach), 0), max(int(px + reach), 0))
            u, v = x[rows, columns] - px, y[rows, columns] - py
            # Wider than high, and flat beneath, where the air's moisture condenses.
            puff = 1 - np.hypot(u / (radius * 1.35), v * np.where(v > 0, 1.5, 0.9) / radius)
            closer = puff > bulk[rows, columns]
            belly[rows, columns][closer] = np.clip(v / radius + 0.35, 0, 1)[closer]
            bulk[rows, columns][closer] = puff[closer]
    bulk = bulk + 0.15 * ragged + 0.06 * fine
    relief = blur(np.clip(bulk, 0, None), width / 130)
    dy, dx = np.gradient(relief)
    slope = -(dx * light.dx + dy * light.dy) / np.hypot(light.dx, light.dy) * width / 18
    bright = 0.74 + 0.62 * slope - 0.40 * blur(belly, width / 90) + 0.03 * fine
    return smoothstep(-0.04, 0.34, bulk), np.clip(bright, 0, 1)


def ridge(image: Array, line: Array, codes: str, cell: float, seed: int, fade: Array | None = None) -> Array:
    """A wooded or rocky slope below ``line``: lit relief of fractal noise; ``fade`` whitens it in haze."""
    height, width = image.shape[:2]
    _, y = pixels(width, height)
    relief = fbm(width, height, (cell, cell * 0.6), seed, 6, 0.6)
    dy, dx = np.gradient(relief)
    tone = even(blur(dx + dy, 1.7) - 0.06 * relief)
    colour = ramp(tone, palette(codes))
    if fade is not None:
        colour = mix(colour, fade, smoothstep(0, 150, y - line[None]) * 0.55)
    return mix(image, colour, smoothstep(-1, 1, y - line[None]))


def tree(
    draw: ImageDraw.ImageDraw, foot: Point, size: tuple[float, float], leaves: Array, light: Light, seed: int
) -> None:
    """A crown of some hundred leafy dabs on a trunk, dark inside and below, bright to the sun.

    ``size`` is the width and height of the crown; a slim one makes a cypress.
    """
    rng = np.random.default_rng(seed)
    wide, high = size
    fx, fy = foot
    slim = high > 2.2 * wide
    trunk = 0.08 * high if slim else 0.30 * high
    draw.polygon(
        [
            (fx - wide * 0.05, fy),
            (fx + wide * 0.05, fy),
            (fx + wide * 0.03, fy - trunk * 1.4),
            (fx - wide * 0.03, fy - trunk * 1.4),
        ],
        fill=(70, 52, 44),
    )
    count = int(np.clip(wide * high / 9, 160, 2600))
    p = rng.normal(size=(count, 3))
    p /= np.linalg.norm(p, axis=1, keepdims=True) + 1e-9
    p *= rng.uniform(0.25, 1, (count, 1)) ** 0.45
    if slim:
        p[:, :2] *= (1 - np.clip(-p[:, 1:2], 0, 1) ** 1.5 * 0.85) ** np.array([1.0, 0.0])
    else:
        # Lumps: draw the dabs towards a few boughs.
        boughs = rng.normal(size=(9, 3)) * 0.55
        near = boughs[((p[:, None] - boughs[None]) ** 2).sum(-1).argmin(1)]
        p = p * 0.72 + near * 0.38
    bright = (
        0.42 + 0.38 * (p[:, 0] * np.sign(light.dx) * 0.9 - p[:, 1] * 0.75 + p[:, 2] * 0.45) + rng.normal(0, 0.10, count)
    )
    order = np.argsort(p[:, 2] + 0.5 * bright)
    colours = (ramp(np.clip(bright, 0, 1), leaves) * 255).astype(int)
    radius = np.clip(min(wide, high) * 0.045, 1.3, 9) * rng.uniform(0.6, 1.3, count)
    middle = fy - trunk - high * 0.46
    for i in order:
        x, y, r = fx + p[i, 0] * wide / 2, middle + p[i, 1] * high / 2, radius[i]
        draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=tuple(colours[i].tolist()))


def mirror(image: Image.Image, shore: float, deep: str, seed: int, rough: float = 1.0) -> Image.Image:
    """Fill the picture below ``shore`` with water: the scene upside down, broken by ripples, darker nearby."""
    colour = to_array(image)
    height, width = colour.shape[:2]
    x, y = pixels(width, height)
    depth = np.clip(y - shore, 0, None)
    near = depth / (height - shore)
    # Ripples look longer and taller the closer they are.
    ripple = np.zeros_like(x)
    for k, (far_row, cell) in enumerate(((0.0, (34, 3.2)), (0.12, (90, 7)), (0.38, (190, 15)))):
        ripple += fbm(width, height, cell, seed + k, 3) * smoothstep(far_row, far_row + 0.3, near) * (0.6 + 0.5 * k)
    rows = np.clip(shore - depth * 0.92 + ripple * (2 + 30 * near) * rough, 0, shore - 1)
    columns = np.clip(x + ripple * (1 + 9 * near) * rough, 0, width - 1)
    water = np.stack(
        [ndimage.map_coordinates(colour[..., c], (rows, columns), order=1, mode="nearest") for c in range(3)],
        axis=-1,
    )
    water = blur(water, (1.6, 0.6))
    slope = np.clip(np.gradient(ripple, axis=0) * 2.2, -1, 1)
    tint = palette(deep)
    # Steeper sight from above lets more of the deep water through.
    water = mix(water * 0.98, tint[0], 0.12 + 0.30 * smoothstep(0, 1, near) + 0.16 * np.clip(-slope, 0, 1))
    water = mix(water, tint[1], 0.20 * np.clip(slope, 0, 1) * (0.4 + 0.6 * near))
    return to_image(mix(colour, water, smoothstep(-1, 1, y - shore)))


def hill_line(width: int, points: list[Point], rough: float, cell: float, seed: int) -> Array:
    """Height of a hill in every column: straight between ``points``, smoothed, plus fractal roughness."""
    knots = np.array(points)
    line = np.interp(np.arange(width), knots[:, 0], knots[:, 1])
    return blur(np.stack([line, line]), (0, cell * 0.35))[0] + rough * ridge_line(width, cell, seed)


def finish(image: Array, seed: int, grain: float = 0.004) -> Array:
    """A camera's touch: a faint grain and corners a little darker."""
    height, width = image.shape[:2]
    x, y = pixels(width, height)
    r = np.hypot((x / width - 0.5) * 1.1, y / height - 0.5)
    image = image * (1.03 - 0.30 * smoothstep(0.35, 0.85, r))[..., None]
    return image + grain * smooth_noise(width, height, 2, seed)[..., None]
