"""Colour woodcut: one block of wood for each ink, carved with a gouge, printed slightly out of place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from drawing.colour import Array, Point, blur, rgb, shrink, smoothstep, to_image
from drawing.noise import fbm, smooth_noise

SCALE = 3


@dataclass
class Print:
    """The blocks of one print, in the order of printing; all shapes are given in pixels of the sheet."""

    width: int
    height: int
    inks: dict[str, str]
    blocks: dict[str, Image.Image] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = (self.width * SCALE, self.height * SCALE)
        self.blocks = {name: Image.new("L", size) for name in self.inks}

    def shape(self, points: Array | Sequence[Point], *names: str) -> None:
        """Leave a shape standing on the named blocks and carve it out of all the others."""
        outline = (np.asarray(points, float) * SCALE).ravel().tolist()
        for name, block in self.blocks.items():
            ImageDraw.Draw(block).polygon(outline, fill=255 if name in names else 0)

    def add(self, points: Array | Sequence[Point], name: str) -> None:
        """Leave a shape standing on one block, whatever the others print there."""
        outline = (np.asarray(points, float) * SCALE).ravel().tolist()
        ImageDraw.Draw(self.blocks[name]).polygon(outline, fill=255)

    def line(self, path: Array, thick: Array | float, name: str) -> None:
        """A line of varying thickness on one block."""
        self.add(ribbon(path, thick), name)

    def disc(self, x: float, y: float, radius: float, *names: str) -> None:
        """A round shape, as ``shape``."""
        t = np.linspace(0, 2 * np.pi, 28)
        self.shape(np.stack([x + radius * np.cos(t), y + radius * np.sin(t)], axis=-1), *names)

    def fade(self, name: str, tone: Array) -> None:
        """Wipe the ink of a block to a gradation (bokashi)."""
        big = Image.fromarray((np.clip(tone, 0, 1) * 255).astype(np.uint8)).resize(self.blocks[name].size)
        self.blocks[name] = big

    def pull(self, paper: str, seed: int) -> Image.Image:
        """Print the blocks one after the other, each a little out of register and unevenly inked."""
        wide, high = self.width * SCALE, self.height * SCALE
        fibre = fbm(wide, high, (26, 9), seed, 3)[..., None]
        sheet = rgb(paper) * (1 + 0.014 * fibre) * (1 + 0.012 * smooth_noise(wide, high, 2, seed + 1)[..., None])
        rng = np.random.default_rng(seed)
        for k, (name, code) in enumerate(self.inks.items()):
            block = np.asarray(self.blocks[name], np.float32) / 255
            away = (0, 0) if k == len(self.inks) - 1 else rng.integers(3, 6, 2) * rng.choice([-1, 1], 2)
            block = ndimage.shift(block, away, order=0, mode="nearest")
            # The knife and the fibres leave no edge quite straight.
            soft = blur(block, 1.6) + 0.07 * smooth_noise(wide, high, 5, seed + 10 * k) * (block.max() > 0)
            cover = np.where((block > 0.02) & (block < 0.98), block, smoothstep(0.36, 0.64, soft))
            grain = fbm(wide, high, (150, 3.5), seed + 10 * k + 1, 3)
            speck = smooth_noise(wide, high, 3.0, seed + 10 * k + 2) + 0.45 * grain
            density = 0.93 + 0.05 * grain - 0.75 * smoothstep(1.75, 2.3, speck)
            amount = (cover * np.clip(density, 0, 1))[..., None]
            sheet = sheet * (1 - amount + amount * rgb(code))
        return shrink(to_image(sheet), SCALE)


def ribbon(path: Array, thick: Array | float) -> Array:
    """Outline of a line of varying thickness."""
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    half = (np.broadcast_to(thick, len(path)) / 2)[:, None] * normal
    return np.concatenate([path + half, (path - half)[::-1]])


def gouge(count: int, thick: float, rng: np.random.Generator, swell: float = 0.5) -> Array:
    """Thickness along a cut: pointed at both ends, swelling where the hand leans on the tool."""
    t = np.linspace(0, 1, count)
    wobble = 1 + 0.16 * np.sin(t * rng.uniform(9, 22) + rng.uniform(0, 6))
    return thick * np.sin(np.pi * t**swell).clip(0, 1) ** 0.6 * wobble + 0.25
