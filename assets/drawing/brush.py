"""Oil painting: curved, tapered strokes of many bristles, and light raking over the wet paint."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from drawing.colour import Array, blur, to_array

SCALE = 2  # strokes are drawn at twice the size of the finished picture


@dataclass(frozen=True)
class Scene:
    """What a painter looks at: colours, the direction of forms, and the object each pixel is part of."""

    colour: Array
    u: Array
    v: Array
    label: Array


@dataclass(frozen=True)
class Layer:
    """One pass over the canvas with one brush; sizes in pixels of the finished picture."""

    spacing: float
    width: float
    length: float
    variety: float = 0.06
    bristles: int = 7


class Canvas:
    """Wet paint: its colour and its height."""

    def __init__(self, width: int, height: int, ground: tuple[int, int, int]) -> None:
        size = (width * SCALE, height * SCALE)
        self.paint = Image.new("RGB", size, ground)
        self.relief = Image.new("L", size, 90)

    def lit(self, strength: float) -> Array:
        """The painting under a lamp at the upper left, which the ridges of paint catch."""
        relief = blur(np.asarray(self.relief, np.float32) / 255, 1.0)
        dy, dx = np.gradient(relief)
        slope = np.clip((dx + dy) * strength, -0.3, 0.42)[..., None]
        colour = to_array(self.paint)
        # Lit ridges gleam towards white, the far sides only lose light.
        return np.where(slope > 0, colour + (1 - colour) * slope * 0.75, colour * (1 + slope))


def trace(scene: Scene, starts: Array, step: float, steps: int) -> tuple[Array, Array]:
    """Follow the field from each start both ways; also the first and last point inside the same object."""
    height, width = scene.label.shape

    def at(p: Array) -> tuple[Array, Array]:
        return (
            np.clip(p[:, 1], 0, height - 1).astype(int),
            np.clip(p[:, 0], 0, width - 1).astype(int),
        )

    home = scene.label[at(starts)]
    half = steps // 2
    path = np.zeros((len(starts), 2 * half + 1, 2), np.float32)
    span = np.zeros((len(starts), 2), int)
    path[:, half] = starts
    for side, sign in ((0, -1.0), (1, 1.0)):
        inside = np.ones(len(starts), bool)
        span[:, side] = half
        for k in range(1, half + 1):
            i, j = half + int(sign) * (k - 1), half + int(sign) * k
            here = at(path[:, i])
            path[:, j] = path[:, i] + sign * step * np.stack([scene.u[here], scene.v[here]], axis=-1)
            inside &= scene.label[at(path[:, j])] == home
            span[:, side] = np.where(inside, j, span[:, side])
    return path, span


def scatter(width: int, height: int, spacing: float, rng: np.random.Generator, where: Array | None) -> Array:
    """Starts of strokes on a shaken grid in random order; ``where`` gives the chance to keep each."""
    y, x = np.mgrid[0 : height + spacing : spacing, 0 : width + spacing : spacing]
    points = np.stack([x.ravel(), y.ravel()], axis=-1) + rng.uniform(-0.7, 0.7, (x.size, 2)) * spacing
    points = points[(points >= 0).all(axis=1) & (points[:, 0] < width) & (points[:, 1] < height)]
    if where is not None:
        chance = where[points[:, 1].astype(int), points[:, 0].astype(int)]
        points = points[rng.uniform(size=len(points)) < chance]
    return rng.permutation(points)


def paint(canvas: Canvas, scene: Scene, layer: Layer, rng: np.random.Generator, where: Array | None = None) -> None:
    """Cover the canvas (or the part ``where`` allows) with the strokes of one brush."""
    height, width = scene.label.shape
    starts = scatter(width, height, layer.spacing, rng, where)
    count = len(starts)
    step = max(layer.width * 0.45, 1.2)
    path, span = trace(scene, starts, step, max(int(layer.length / step), 4))
    colour = scene.colour[starts[:, 1].astype(int), starts[:, 0].astype(int)]
    value = rng.normal(size=(count, 1)) * layer.variety
    colour = colour * (1 + value) + rng.normal(size=(count, 3)) * layer.variety * 0.5

    tangent = np.gradient(path, axis=1)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    along = (np.arange(path.shape[1]) - span[:, :1]) / np.maximum(span[:, 1:] - span[:, :1], 1)
    # Round at the start where the brush lands, thinning to the end where it lifts.
    taper = np.sqrt(np.clip(along, 0, 1) * 6 + 0.25).clip(0, 1) * np.clip(1.35 - along, 0.25, 1)
    size = layer.width * rng.uniform(0.7, 1.25, count)
    side = np.linspace(-0.5, 0.5, layer.bristles)
    dab = ImageDraw.Draw(canvas.paint)
    ridge = ImageDraw.Draw(canvas.relief)
    thick = max(int(np.ceil(layer.width * SCALE / layer.bristles * 1.5)), 2)
    for k in range(count):
        first, last = span[k]
        if last - first < 2:
            continue
        base = rng.uniform(70, 170)
        shade = rng.normal(size=layer.bristles) * 0.05
        lift = rng.uniform(-35, 35, layer.bristles) + 30 * np.abs(side * 2) ** 2
        ragged = rng.integers(0, max((last - first) // 3, 1), (2, layer.bristles))
        lanes = (path[k][None] + normal[k][None] * (side[:, None] * taper[k] * size[k])[..., None]) * SCALE
        for b in rng.permutation(layer.bristles):
            lane = lanes[b, first + ragged[0, b] // 2 : last + 1 - ragged[1, b]].ravel().tolist()
            if len(lane) < 4:
                continue
            ink = np.clip(colour[k] * (1 + shade[b]) * 255, 0, 255).astype(int)
            dab.line(lane, fill=(int(ink[0]), int(ink[1]), int(ink[2])), width=thick)
            ridge.line(lane, fill=int(np.clip(base + lift[b], 0, 255)), width=thick)
