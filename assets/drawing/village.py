"""A hill town above a river: tiled roofs, a church, a stone bridge, cypresses, afternoon light."""

import numpy as np
from PIL import Image, ImageDraw

from drawing.buildings import LIGHT, House, church, ink
from drawing.colour import (
    Array,
    Point,
    mix,
    palette,
    pixels,
    ramp,
    rgb,
    shrink,
    smoothstep,
    to_array,
    to_image,
)
from drawing.nature import HEIGHT, SCALE, WIDTH, clouds, finish, hill_line, mirror, ridge, tree
from drawing.noise import fbm

SHORE = 492 * SCALE
LEAVES = palette("16281f 24452a 3f6a2f 7f9a3d c9c765")
CYPRESS = palette("0e1f1c 17352a 2a5232 55753a 8f9a4c")


def sky() -> Array:
    """Blue sky with lit clouds."""
    _, y = pixels(WIDTH, HEIGHT)
    colour = ramp(np.clip(y / (SHORE * 0.8), 0, 1), palette("3f7fc8 6ea6dc a6cbe6 d9e4e4 f3e6cf"))
    heaps = [
        (160, 168, 300),
        (700, 190, 400),
        (520, 92, 190),
        (420, 262, 150),
        (800, 290, 220),
        (30, 262, 180),
        (600, 300, 130),
    ]
    thick, bright = clouds(WIDTH, HEIGHT, [(a * SCALE, b * SCALE, c * SCALE) for a, b, c in heaps], 17, LIGHT)
    return mix(colour, ramp(bright, palette("9dabc8 c6cddb f6eedd fffaf0")), thick * 0.95)


def land(image: Array) -> tuple[Array, Array]:
    """Far mountains in the haze, wooded hills, and the slope of the town; also the slope's outline."""
    s = SCALE
    for k, (level, rough, cell, codes) in enumerate((
        (338, 26, 300, "8fa6c8 a9bcd6 b9c9dd"), (372, 22, 240, "6f8fae 87a5b4 a5bcb8"),
        (404, 20, 200, "4a6f78 6a9078 95ac80"), (440, 14, 150, "35583f 56803f 93a555"),
    )):  # fmt: skip
        line = hill_line(
            WIDTH,
            [(0, level * s), (WIDTH * 0.6, (level + 16) * s), (WIDTH, (level - 26) * s)],
            rough,
            cell * s,
            20 + k,
        )
        image = ridge(image, line, codes, 26 - 3 * k, 50 + k, rgb("dfe3de"))
    points = [
        (0, 386),
        (90, 330),
        (190, 262),
        (270, 226),
        (345, 224),
        (420, 268),
        (500, 350),
        (580, 428),
        (680, 486),
        (900, 500),
    ]
    slope = hill_line(WIDTH, [(x * s, y * s) for x, y in points], 5, 60 * s, 7)
    return ridge(image, slope, "35552c 5d7f36 8f9f4a c2b866", 20, 90), slope


def town(draw: ImageDraw.ImageDraw, slope: Array, rng: np.random.Generator) -> None:
    """Houses in rows down the slope with trees between them, the church on top."""
    s = SCALE
    church(draw, 300 * s, 246 * s)
    rows = (
        (268, 175, 395, 7),
        (300, 130, 440, 9),
        (336, 96, 480, 10),
        (376, 56, 520, 11),
        (420, 20, 575, 12),
        (466, -10, 640, 13),
    )
    for level, left, right, count in rows:
        spots = np.linspace(left, right, count) + rng.uniform(-9, 9, count)
        grow = 0.62 + 0.0020 * (level - 268)
        for x in spots:
            y = max(level + rng.uniform(-9, 9), slope[int(np.clip(x * s, 0, WIDTH - 1))] / s + 8)
            if y > level + 26:
                continue
            kind = rng.uniform()
            if kind < 0.16:
                tree(
                    draw,
                    (x * s, y * s + 8),
                    (44 * grow * s, 46 * grow * s),
                    LEAVES,
                    LIGHT,
                    int(x * 7 + level),
                )
            elif kind < 0.26:
                tree(
                    draw,
                    (x * s, y * s + 8),
                    (17 * grow * s, 74 * grow * s),
                    CYPRESS,
                    LIGHT,
                    int(x * 7 + level),
                )
            else:
                size = (
                    rng.uniform(34, 56) * grow * s,
                    rng.uniform(28, 58) * grow * s,
                    rng.uniform(26, 52) * grow * s,
                )
                House(draw, (x * s, y * s), size, rng).build()
        for x in rng.uniform(left, right, count):
            y = max(level + rng.uniform(4, 14), slope[int(np.clip(x * s, 0, WIDTH - 1))] / s + 8)
            if y < level + 26:
                tree(
                    draw,
                    (x * s, y * s + 10),
                    (rng.uniform(20, 34) * s * grow, 22 * s * grow),
                    LEAVES,
                    LIGHT,
                    int(x * 3 + level),
                )


def bridge(image: Array) -> Array:
    """Four stone arches from the quay to the right bank."""
    s = SCALE
    x, y = pixels(WIDTH, HEIGHT)
    deck = (436 + 14 * ((x / s - 730) / 200) ** 2) * s
    body = smoothstep(-1, 1, y - deck) * smoothstep(548 * s, 552 * s, x)
    under = np.zeros_like(x)
    lip = np.zeros_like(x)
    for centre, half, high in ((602, 35, 36), (690, 41, 45), (784, 41, 45), (873, 36, 38)):
        r = np.hypot((x / s - centre) / half, (SHORE / s - y / s) / high)
        under = np.maximum(under, smoothstep(1.02, 0.99, r))
        lip = np.maximum(lip, smoothstep(1.22, 1.19, r) * smoothstep(1.0, 1.03, r))
    course = np.floor(y / (5.5 * s))
    joint = ((x + (course % 2) * 6 * s) % (12 * s) < 1.6) | (y % (5.5 * s) < 1.6)
    block = np.random.default_rng(2).uniform(0.86, 1.08, (400, 400))
    tone = block[course.astype(int) % 400, ((x + (course % 2) * 6 * s) / (12 * s)).astype(int) % 400]
    stone = rgb("cdb896") * (tone * (1 + 0.05 * fbm(WIDTH, HEIGHT, 30, 4, 4)) * np.where(joint, 0.86, 1.0))[..., None]
    stone = mix(stone, rgb("ead6b0"), lip * 0.5)
    stone = mix(stone, rgb("6a6a58"), smoothstep(SHORE - 22 * s, SHORE, y) * 0.6)
    image = mix(image, stone, body * (1 - under))
    # The vault behind each opening, lit from the far side.
    shift = np.zeros_like(x)
    for centre, half, high in ((602, 35, 36), (690, 41, 45), (784, 41, 45), (873, 36, 38)):
        r = np.hypot((x / s - centre + 8) / half, (SHORE / s - y / s) / high)
        shift = np.maximum(shift, smoothstep(1.02, 0.99, r))
    image = mix(image, rgb("5a5660"), under * (1 - shift))
    parapet = smoothstep(-9 * s, -8 * s, y - deck) * smoothstep(1, -1, y - deck) * smoothstep(548 * s, 552 * s, x)
    image = mix(image, stone * 1.08, parapet)
    rail = smoothstep(2.2 * s, 1.4 * s, np.abs(y - deck + 9 * s)) * smoothstep(546 * s, 550 * s, x)
    image = mix(image, rgb("f2e3c4"), rail)
    tide = smoothstep(SHORE - 5 * s, SHORE, y) * smoothstep(548 * s, 552 * s, x) * (1 - under)
    return mix(image, rgb("2c3a34"), tide * 0.8)


def quay(image: Array) -> Array:
    """A low wall of stone along the water."""
    s = SCALE
    x, y = pixels(WIDTH, HEIGHT)
    wall = smoothstep(SHORE - 17 * s, SHORE - 16 * s, y) * smoothstep(560 * s, 556 * s, x)
    block = (np.floor(x / (9 * s) + 0.5 * (np.floor(y / (4 * s)) % 2)) * 37 + np.floor(y / (4 * s)) * 91).astype(int)
    tone = np.random.default_rng(4).uniform(0.84, 1.06, 997)[block % 997]
    stone = rgb("cdb896") * (tone + 0.06 * fbm(WIDTH, HEIGHT, (26, 10), 8, 4))[..., None]
    stone = mix(stone, rgb("ead6b0"), smoothstep(SHORE - 13 * s, SHORE - 14 * s, y))
    stone = mix(stone, rgb("3f4a40"), smoothstep(SHORE - 7 * s, SHORE - s, y) * 0.85)
    return mix(image, stone, wall)


def boat(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, code: str) -> None:
    """A rowing boat with its dark reflection."""

    def at(points: list[Point]) -> list[Point]:
        return [(x + a * size, y + b * size) for a, b in points]

    draw.polygon(at([(-1.0, 0.14), (1.0, 0.12), (0.7, 0.42), (-0.7, 0.42)]), fill=(30, 48, 60, 120))
    draw.polygon(at([(-1.12, -0.24), (1.12, -0.28), (0.8, 0.16), (-0.78, 0.16)]), fill=(*ink(rgb(code)), 255))
    draw.polygon(at([(-1.0, -0.02), (0.98, -0.04), (0.8, 0.16), (-0.78, 0.16)]), fill=(*ink(rgb(code), 0.55), 255))
    draw.polygon(at([(-1.12, -0.24), (1.12, -0.28), (0.85, -0.17), (-0.85, -0.14)]), fill=(84, 58, 44, 255))
    draw.line(at([(-1.12, -0.24), (1.12, -0.28)]), fill=(250, 236, 208, 255), width=4)
    for bench in (-0.35, 0.3):
        draw.polygon(
            at([(bench, -0.25), (bench + 0.16, -0.25), (bench + 0.14, -0.16), (bench, -0.16)]),
            fill=(196, 152, 104, 255),
        )


def near_bank(image: Image.Image, rng: np.random.Generator) -> None:
    """Grass and flowers at the lower left."""
    s = SCALE
    draw = ImageDraw.Draw(image)
    edge = hill_line(
        WIDTH,
        [(0, 600 * s), (150 * s, 622 * s), (330 * s, 664 * s), (420 * s, 690 * s), (WIDTH, 700 * s)],
        5,
        50 * s,
        3,
    )
    blades = rng.uniform(0, 1, (7000, 2))
    blades[:, 0] *= 430 * s
    low = edge[blades[:, 0].astype(int)] + blades[:, 1] ** 1.2 * 110 * s
    for i in np.argsort(low):
        x, y = blades[i, 0], low[i]
        tall = rng.uniform(12, 34) * s * (0.5 + 0.5 * blades[i, 1])
        lean = rng.normal(0.12, 0.25) * tall
        tone = ramp(
            np.array([np.clip(rng.normal(0.45, 0.22) + 0.15 * np.sin(x / 90), 0, 1)]),
            palette("22391f 44682a 86993a d6c868"),
        )[0]
        draw.polygon([(x - 2.6, y), (x + 2.6, y), (x + lean, y - tall)], fill=ink(tone))
        if rng.uniform() < 0.02:
            r = rng.uniform(3.5, 6)
            flower = [rgb("e2453a"), rgb("f6f0e0"), rgb("f2c440")][rng.integers(3)]
            draw.ellipse([x + lean - r, y - tall - r, x + lean + r, y - tall + r], fill=ink(flower))


def draw() -> Image.Image:
    """The finished picture."""
    s = SCALE
    rng = np.random.default_rng(21)
    colour, slope = land(sky())
    image = to_image(colour)
    pen = ImageDraw.Draw(image)
    for x, wide, tall in (
        (640, 54, 50),
        (700, 70, 62),
        (760, 60, 54),
        (820, 76, 70),
        (880, 66, 66),
        (668, 16, 78),
        (846, 17, 92),
        (862, 15, 80),
    ):
        leaves = CYPRESS if tall > 2.2 * wide else LEAVES
        tree(pen, (x * s, 470 * s), (wide * s, tall * s), leaves, LIGHT, x)
    town(pen, slope, rng)
    image = to_image(bridge(quay(to_array(image))))
    image = mirror(image, SHORE, "23485c d8e6ea", 31)
    pen = ImageDraw.Draw(image, "RGBA")
    boat(pen, 500 * s, 566 * s, 34 * s, "b8412f")
    boat(pen, 640 * s, 606 * s, 46 * s, "2f6a94")
    near_bank(image, rng)
    return shrink(to_image(finish(to_array(image), 3)), SCALE)
