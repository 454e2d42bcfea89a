"""A peacock spreading its tail on a gold ground, as a mosaic."""

import numpy as np
from PIL import Image

from drawing.colour import Array, mix, palette, pixels, polygon, ramp, rgb, spline
from drawing.mosaic import Cartoon, tesserae
from drawing.noise import even, fbm

SIZE = 768
HUB = (384.0, 470.0)
# Rows of eyes on the tail: distance from the hub, radius of an eye, number of eyes.
ROWS = ((288, 31, 15), (226, 27, 14), (170, 23, 13), (120, 18, 10))


class Drawing:
    """A cartoon under construction: every shape gets its own region so that tiles follow its outline."""

    def __init__(self) -> None:
        self.x, self.y = pixels(SIZE, SIZE)
        self.colour = np.zeros((SIZE, SIZE, 3), np.float32)
        self.label = np.zeros((SIZE, SIZE), int)
        self.size = np.full((SIZE, SIZE), 12.0, np.float32)
        self.gold = np.zeros((SIZE, SIZE), np.float32)

    def lay(self, where: Array, colour: Array, size: float, gold: bool = False) -> None:
        """Fill a region (a mask, or coverage above a half) with a colour or a map of colours."""
        inside = where > 0.5
        self.colour[inside] = colour[inside] if colour.ndim == 3 else colour
        self.label[inside] = self.label.max() + 1
        self.size[inside] = size
        self.gold[inside] = gold

    def shape(self, points: list[tuple[float, float]], colour: Array, size: float, smooth: bool = True) -> None:
        """Fill an outline, rounded through its points if ``smooth``."""
        outline = spline([*points, points[0]], 120) if smooth else np.array(points)
        self.lay(polygon(SIZE, SIZE, outline), colour, size)


def ground(art: Drawing) -> None:
    """Gold all over, darker to the rim; a meadow with flowers at the foot."""
    r = np.hypot(art.x - 384, art.y - 400) / 600
    glow = np.clip(1 - r + 0.10 * fbm(SIZE, SIZE, 90, 3, 2), 0, 1)
    art.lay(np.ones_like(r), ramp(glow, palette("8f5a18 c8891f eab436 ffdf74")), 11.5, gold=True)
    hill = 648 + 20 * np.cos((art.x - 384) / 150)
    depth = np.clip((art.y - hill) / 110, 0, 1)
    art.lay(
        art.y > hill,
        ramp(even(fbm(SIZE, SIZE, 34, 9, 2) + 1.5 * depth), palette("8fae3c 4f8a3a 1f5f45 123f48")),
        10,
    )
    art.lay((art.y > hill + 58) & (art.y < hill + 66), palette("d8b04a")[0], 8)
    rng = np.random.default_rng(4)
    for cx in np.linspace(76, 692, 9):
        cy = 668 + 20 * np.cos((cx - 384) / 150) + rng.uniform(4, 22)
        if abs(cx - 384) < 60:
            continue
        petal = rgb(str(rng.choice(["d8342c", "f2e6d0", "e8782a", "c23a6a"])))
        art.lay(np.hypot(art.x - cx, art.y - cy) < 14, petal, 7)
        art.lay(np.hypot(art.x - cx, art.y - cy) < 5, rgb("f6cf4a"), 6)


def tail(art: Drawing) -> None:
    """The fan: a fringe, green feathers, and rows of eyes, the outer ones the largest."""
    dx, dy = art.x - HUB[0], art.y - HUB[1]
    r, turn = np.hypot(dx, dy), np.arctan2(dx, -dy)
    fan = np.abs(turn) < 1.80
    lobes = np.abs(np.cos(turn * 15 / 3.5 * np.pi))
    art.lay(fan & (r < 331 + 10 * lobes), rgb("12324f"), 8)
    art.lay(
        fan & (r < 319 + 10 * lobes),
        ramp(np.clip(r / 325, 0, 1), palette("0a3f52 0f6a63 1d8a5a 5fae4a a6c24a")),
        9,
    )
    for k, (reach, radius, count) in enumerate(ROWS):
        span = 1.70 if k % 2 == 0 else 1.58
        for angle in np.linspace(-span, span, count):
            cx, cy = HUB[0] + reach * np.sin(angle), HUB[1] - reach * np.cos(angle)
            out = (art.x - cx) * np.sin(angle) - (art.y - cy) * np.cos(angle)
            side = (art.x - cx) * np.cos(angle) + (art.y - cy) * np.sin(angle)
            stem = (np.abs(side) < 4.0) & (out < 0) & (out > -0.42 * reach) & (r > 60)
            art.lay(stem & (art.colour[..., 1] > art.colour[..., 0] * 1.25), rgb("e0b93e"), 7.5)
        for angle in np.linspace(-span, span, count):
            cx, cy = HUB[0] + reach * np.sin(angle), HUB[1] - reach * np.cos(angle)
            out = (art.x - cx) * np.sin(angle) - (art.y - cy) * np.cos(angle)
            side = (art.x - cx) * np.cos(angle) + (art.y - cy) * np.sin(angle)
            # A drop: drawn out towards the hub.
            drop = np.hypot(side * (1.12 - 0.010 * np.clip(out, -40, 40)), out * np.where(out < 0, 0.80, 1.0))
            heart = np.hypot(side, (out - 0.08 * radius) * 1.1)
            ring = max(radius * 0.30, 6.0)
            art.lay(drop < radius, rgb("d9d04e") if k % 2 else rgb("e8c84a"), ring)
            art.lay(drop < radius * 0.74, rgb("c8581e"), ring)
            art.lay(heart < radius * 0.50, rgb("2cc4c8"), ring * 0.95)
            art.lay(heart < radius * 0.27, rgb("18206e"), ring * 0.95)


def body(art: Drawing) -> None:
    """Legs, wings, the blue breast and neck, the head with its crown of plumes."""
    for foot in (362, 410):
        art.shape([(foot - 4, 596), (foot + 5, 596), (foot + 4, 672), (foot - 4, 672)], rgb("8a5a2c"), 7, False)
        art.shape([(foot - 22, 684), (foot, 668), (foot + 20, 684), (foot + 2, 678)], rgb("8a5a2c"), 7, False)
    feather = even(np.sin((art.x + art.y * 0.4) / 5.5) + 0.2 * fbm(SIZE, SIZE, 20, 5, 2))
    for sign in (-1, 1):
        wing = [(384 + sign * a, b) for a, b in ((40, 470), (88, 488), (100, 540), (78, 592), (44, 606), (50, 540))]
        art.shape(wing, ramp(feather, palette("7a3216 c8682a f0d9a8")), 7.5)
    across = np.clip((art.x - 384) / 130 + 0.5 - (art.y - 480) / 600, 0, 1)
    breast = ramp(across, palette("1fa0c8 1668c4 1b3fae 1a2474"))
    art.shape(
        [(384, 424), (430, 470), (448, 535), (424, 596), (384, 618), (344, 596), (322, 535), (340, 470)],
        breast,
        8,
    )
    neck = [(346, 480), (352, 420), (352, 372), (344, 338), (352, 312), (378, 302), (402, 314), (410, 346),
            (410, 400), (426, 482), (388, 520)]  # fmt: skip
    sheen = mix(breast, rgb("1fb6c0"), np.clip(0.5 + 0.5 * np.sin(art.y / 16), 0, 1) * 0.35)
    art.shape(neck, mix(sheen, rgb("0f1c66"), np.clip((art.x - 380) / 50, 0, 1)), 7)
    for k in range(5):
        angle = (k - 2) * 0.36
        tip = (386 + 66 * np.sin(angle), 312 - 66 * np.cos(angle))
        stalk = [(383, 308), (389, 308), (tip[0] + 3, tip[1]), (tip[0] - 3, tip[1])]
        art.shape(stalk, rgb("12226a"), 6, False)
    for k in range(5):
        angle = (k - 2) * 0.36
        tip = (386 + 68 * np.sin(angle), 312 - 68 * np.cos(angle))
        art.lay(np.hypot(art.x - tip[0], art.y - tip[1]) < 12, rgb("36d0c4"), 6)
        art.lay(np.hypot(art.x - tip[0], art.y - tip[1]) < 5, rgb("f6d95a"), 6)
    art.shape([(352, 318), (352, 347), (304, 342)], rgb("f0842a"), 6, False)
    art.shape([(346, 326), (362, 316), (384, 320), (394, 332), (378, 342), (358, 340)], rgb("f7f2e4"), 6)
    art.lay(np.hypot(art.x - 369, art.y - 330) < 6.5, rgb("0a0a14"), 6)


def border(art: Drawing) -> Array:
    """A frame of four bands, a row of square tiles each; red and gold take turns in one. Returns the tiles."""
    edge = np.minimum(np.minimum(art.x, SIZE - 1 - art.x), np.minimum(art.y, SIZE - 1 - art.y))
    along = np.where(np.minimum(art.x, SIZE - 1 - art.x) < np.minimum(art.y, SIZE - 1 - art.y), art.y, art.x)
    art.lay(edge < 40, rgb("f2e4c4"), 10)
    art.lay(edge < 30, rgb("1f3a90"), 10)
    art.lay(edge < 20, rgb("e6b840"), 10)
    art.lay((edge < 20) & ((along - 379) % 40 < 20), rgb("c8342a"), 10)
    art.lay(edge < 10, rgb("16285e"), 10)
    tiles = []
    for low in (5.0, 15.0, 25.0, 35.0):
        high = SIZE - low
        run = np.linspace(low, high, round((high - low) / 10), endpoint=False)
        for x, y in ((run, low), (high, run), (low + high - run, high), (low, low + high - run)):
            tiles.append(np.stack(np.broadcast_arrays(x, y), axis=-1))
    return np.concatenate(tiles)


def cartoon() -> Cartoon:
    """The coloured drawing under the tiles."""
    art = Drawing()
    ground(art)
    tail(art)
    body(art)
    tiles = border(art)
    return Cartoon(art.colour, art.label, art.size, art.gold, tiles)


def draw() -> Image.Image:
    """The finished mosaic."""
    return tesserae(cartoon(), 8, rounds=12)
