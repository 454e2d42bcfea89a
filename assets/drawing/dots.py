"""Pointillism: dots of nearly pure colour that mix in the eye, with complementary dots in the shadows."""

import numpy as np
from PIL import Image, ImageDraw

from drawing.colour import LUMA, Array, shrink

SCALE = 3
# Two axes of colour that, with the grey, span RGB: orange to blue, and purple to green.
ORANGE_BLUE = np.array([0.596, -0.275, -0.321], np.float32)
PURPLE_GREEN = np.array([0.212, -0.523, 0.311], np.float32)
FROM_YIQ = np.linalg.inv(np.stack([LUMA, ORANGE_BLUE, PURPLE_GREEN])).astype(np.float32)


def divide(colour: Array, rng: np.random.Generator) -> Array:
    """Divide each colour: turn its hue at random, strengthen it, answer shadows with the complement."""
    grey, warm, purple = colour @ LUMA, colour @ ORANGE_BLUE, colour @ PURPLE_GREEN
    count = len(colour)
    hue = np.arctan2(purple, warm)
    strength = np.hypot(warm, purple)
    kind = rng.uniform(size=count)
    answer = kind < 0.03 + 0.10 * (1 - grey)
    turn = rng.normal(0, 0.36, count)
    turn[kind > 0.86] += rng.choice([-0.9, 0.9], count)[kind > 0.86]
    hue = hue + np.where(answer, np.pi, turn)
    strength = np.where(answer, 0.75, 1.5) * strength + rng.uniform(0.02, 0.075, count)
    # Half of the dots are lighter and half darker than the scene, so that its tone stays.
    grey = grey + rng.normal(0, 0.05, count)
    return np.stack([grey, strength * np.cos(hue), strength * np.sin(hue)], axis=-1) @ FROM_YIQ.T


def dots(
    scene: Array, seed: int, ground: tuple[int, int, int], layers: list[tuple[float, float, Array]]
) -> Image.Image:
    """Cover a canvas with the dots of the scene, one layer for each (spacing, radius, where) in pixels."""
    rng = np.random.default_rng(seed)
    height, width = scene.shape[:2]
    canvas = Image.new("RGB", (width * SCALE, height * SCALE), ground)
    brush = ImageDraw.Draw(canvas)
    for spacing, radius, where in layers:
        y, x = np.mgrid[0:height:spacing, 0:width:spacing]
        # Every other row is shifted, as in a honeycomb, so that no columns show.
        x = x + (np.arange(len(x)) % 2)[:, None] * spacing / 2
        at = np.stack([x.ravel(), y.ravel()], axis=-1) + rng.normal(0, 0.2 * spacing, (x.size, 2))
        at = rng.permutation(at)
        column = np.clip(at[:, 0], 0, width - 1).astype(int)
        row = np.clip(at[:, 1], 0, height - 1).astype(int)
        inside = where[row, column]
        at, row, column = at[inside], row[inside], column[inside]
        inks = (np.clip(divide(scene[row, column], rng), 0, 1) * 255).astype(int).tolist()
        sizes = radius * rng.uniform(0.85, 1.15, (len(at), 2)) * SCALE
        boxes = np.concatenate([at * SCALE - sizes, at * SCALE + sizes], axis=1).tolist()
        for box, ink in zip(boxes, inks, strict=True):
            brush.ellipse(box, fill=tuple(ink))
    return shrink(canvas, SCALE)
