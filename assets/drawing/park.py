"""A river bank on a summer evening with sails, trees and strollers under parasols, in dots."""

import numpy as np
from PIL import Image

from drawing.colour import Array, blur, mix, palette, pixels, polygon, ramp, rgb, smoothstep, spline
from drawing.dots import dots
from drawing.noise import even, fbm, ridge_line

WIDTH, HEIGHT = 768, 576
SHORE = 232  # the line where the far bank meets the river
SUN = (560, 150)


def sky() -> Array:
    """Evening sky: blue above, peach and gold round the low sun, thin clouds lit from beneath."""
    x, y = pixels(WIDTH, HEIGHT)
    t = np.clip(y / SHORE, 0, 1)
    colour = ramp(t, palette("5b86cf 8fb2dd d3c9d6 f7c9a4 fcd27c ffdf86"))
    cloud = even(fbm(WIDTH, HEIGHT, (190, 34), 5, 4))
    lit = ramp(t, palette("f2dce6 fbd3c4 ffdc9a"))
    colour = mix(colour, lit, smoothstep(0.5, 0.8, cloud) * 0.85)
    colour = mix(colour, rgb("a98fc4"), smoothstep(0.86, 1.0, cloud) * 0.5 * smoothstep(190, 60, y))
    glow = np.exp(-np.hypot(x - SUN[0], y - SUN[1]) / 75)
    colour = mix(colour, rgb("ffe9a0"), glow * 0.85)
    return mix(colour, rgb("fffbe0"), smoothstep(25, 20, np.hypot(x - SUN[0], y - SUN[1])))


def far_bank(colour: Array) -> Array:
    """Hazy hills and two rows of trees on the other side."""
    x, y = pixels(WIDTH, HEIGHT)
    rows = (
        (176, 15, 120, "8f86c2 b99fc0", 4),
        (196, 17, 46, "3f6a8c 7f9a72", 5),
        (212, 13, 30, "2c5a52 9aa64a", 6),
    )
    for k, (level, swing, cell, codes, octaves) in enumerate(rows):
        line = level + swing * ridge_line(WIDTH, cell, 31 + k, octaves, 0.45)[None]
        light = even(fbm(WIDTH, HEIGHT, 17, 60 + k, 3) - 0.05 * (y - line))
        colour = mix(colour, ramp(light, palette(codes)), smoothstep(-1, 1, y - line))
    for left, tall in ((40, 92), (62, 104), (84, 88), (398, 70), (414, 82), (690, 84), (708, 98), (728, 80)):
        half = 9 * np.sin(np.pi * np.clip((y - (SHORE - tall)) / tall * 0.9 + 0.06, 0, 0.99)) ** 0.7
        inside = smoothstep(1, -1, np.abs(x - left) - half) * (y > SHORE - tall)
        colour = mix(colour, ramp(np.clip((x - left) / 18 + 0.5, 0, 1), palette("23495e 3f7a4c b8b04a")), inside)
    for left, wide in ((250, 34), (300, 24), (330, 30)):
        box = [(left, SHORE - 22), (left + wide, SHORE - 22), (left + wide, SHORE), (left, SHORE)]
        roof = [(left - 3, SHORE - 21), (left + wide / 2, SHORE - 37), (left + wide + 3, SHORE - 21)]
        colour = mix(colour, rgb("f6d9b0"), polygon(WIDTH, HEIGHT, box))
        colour = mix(colour, rgb("d8583a"), polygon(WIDTH, HEIGHT, roof))
    return colour


def sail(colour: Array, left: float, low: float, size: float, code: str) -> Array:
    """A sailing boat: hull, mainsail and jib, lit from the right."""
    hull = [(-0.34, -0.05), (0.42, -0.05), (0.3, 0.07), (-0.26, 0.07)]
    main = [(0.02, -1.1), (0.02, -0.1), (-0.36, -0.12), (-0.16, -0.6)]
    jib = [(0.05, -1.0), (0.05, -0.1), (0.4, -0.1), (0.26, -0.45)]
    for shape, ink in ((hull, "6b2f3a"), (main, code), (jib, "fff6dc")):
        at = [(left + a * size, low + b * size) for a, b in shape]
        colour = mix(colour, rgb(ink), polygon(WIDTH, HEIGHT, at))
    return colour


def river(colour: Array) -> Array:
    """Mirror everything above the shore in rippled water, with the sun's path across it."""
    x, y = pixels(WIDTH, HEIGHT)
    depth = np.clip(y - SHORE, 0, None)
    ripple = fbm(WIDTH, HEIGHT, (60, 5), 77, 3)
    row = np.clip(SHORE - depth * 0.80 + ripple * (2 + depth * 0.10), 0, SHORE - 1).astype(int)
    column = np.clip(x + ripple * (1 + depth * 0.05), 0, WIDTH - 1).astype(int)
    water = mix(colour[row, column] * 0.9, rgb("3f77b8"), 0.12 + 0.3 * smoothstep(0, 300, depth))
    stripe = even(fbm(WIDTH, HEIGHT, (70, 6), 79, 3))
    water = mix(water, rgb("2f5ea6"), smoothstep(0.62, 0.9, stripe) * 0.5)
    path = np.exp(-(((x - SUN[0]) / (16 + depth * 0.16)) ** 2)) * smoothstep(0.45, 0.7, 1 - stripe)
    water = mix(water, rgb("fff0a8"), path * 0.95)
    return mix(colour, water, smoothstep(-1, 1, y - SHORE))


def meadow(colour: Array) -> tuple[Array, Array]:
    """The near bank sweeping up to the left, striped by the long shadows of evening."""
    x, y = pixels(WIDTH, HEIGHT)
    edge = spline([(-10, 262), (120, 292), (260, 360), (400, 424), (560, 462), (800, 486)], 600)
    line = np.interp(x[0], edge[:, 0], edge[:, 1])[None] + 3 * ridge_line(WIDTH, 26, 8, 3)[None]
    depth = y - line
    grass = even(fbm(WIDTH, HEIGHT, (46, 16), 21, 4))
    shade = ramp(grass, palette("7f9c2e a9bb38 d2cf48 f2dd62"))
    # Shadows of trees outside the picture run down to the left, away from the sun.
    run = (x * 0.42 - y) * 0.013 + 0.35 * fbm(WIDTH, HEIGHT, (120, 40), 22, 3)
    dark = smoothstep(0.15, 0.45, np.sin(run * 2.1 + 1.4)) * smoothstep(6, 40, depth)
    dark = np.maximum(dark, smoothstep(500, 560, y + 0.10 * (WIDTH - x) + 12 * fbm(WIDTH, HEIGHT, 60, 23, 3)))
    shade = mix(shade, ramp(grass, palette("1c3a6a 27585c 2f7048")), dark * 0.88)
    shade = mix(shade, rgb("e9c27c"), smoothstep(9, 4, np.abs(depth - 6)) * 0.8)
    mask = smoothstep(-1, 1, depth)
    colour = mix(colour, ramp(np.clip(y / HEIGHT, 0, 1), palette("203d6a 1d3f57")), smoothstep(-8, 0, depth) * 0.6)
    return mix(colour, shade, mask), line[0]


def tree(colour: Array, foot: tuple[float, float], top: float, spread: float, seed: int) -> Array:
    """A trunk with boughs under clumps of leaves; the clumps catch the light at their right."""
    x, y = pixels(WIDTH, HEIGHT)
    rng = np.random.default_rng(seed)
    fx, fy = foot
    girth = spread * 0.085
    for lean, high in ((0.0, 0.8), (-0.45, 0.62), (0.42, 0.66), (-0.2, 0.75)):
        tip = (fx + lean * spread, fy + (top - fy) * high)
        line = spline([foot, (fx + 0.12 * lean * spread, fy + (top - fy) * 0.33), tip], 40)
        half = np.linspace(girth, 1.5, 40)
        outline = np.concatenate([line - np.stack([half, 0 * half], 1), (line + np.stack([half, 0 * half], 1))[::-1]])
        bark = ramp(np.clip((x - fx) / (2.4 * girth) + 0.5, 0, 1), palette("2a2350 5a3a58 c77a4a"))
        colour = mix(colour, bark, polygon(WIDTH, HEIGHT, outline))
    ragged = 0.16 * fbm(WIDTH, HEIGHT, 24, seed, 4)
    clumps = []
    for _ in range(54):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform())
        clumps.append((fx + spread * reach * np.cos(angle), top + (fy - top) * 0.33 * (1 + reach * np.sin(angle))))
    clumps.sort(key=lambda c: c[0] - c[1] * 0.6)
    for cx, cy in clumps:
        size = spread * rng.uniform(0.17, 0.30)
        r = np.hypot(x - cx, (y - cy) * 1.25) / size + ragged
        light = np.clip(0.5 + 0.45 * ((x - cx) * 0.8 - (y - cy) * 0.6) / size + 0.8 * ragged, 0, 1)
        leaf = ramp(light, palette("152f55 1d4f4c 2f7d3c 86a82f e8d04c"))
        colour = mix(colour, leaf, smoothstep(1.0, 0.86, r))
    return colour


def stroller(colour: Array, at: tuple[float, float], tall: float, dress: str, shade: str, parasol: str) -> Array:
    """A lady seen from the side with an open parasol and the long shadow she casts to the left."""
    fx, fy = at

    def place(points: list[tuple[float, float]], smooth: int = 0) -> Array:
        outline = spline([*points, points[0]], smooth) if smooth else np.array(points)
        return polygon(WIDTH, HEIGHT, outline * tall + (fx, fy))

    ground = [(-0.1, 0.0), (0.16, 0.0), (-0.9, 0.34), (-1.15, 0.32)]
    skirt = [(-0.05, -0.60), (0.05, -0.60), (0.12, -0.35), (0.2, 0.0), (-0.24, 0.0), (-0.19, -0.36)]
    bodice = [(-0.075, -0.58), (-0.085, -0.80), (0.065, -0.80), (0.05, -0.58)]
    arm = [(0.03, -0.76), (0.16, -0.66), (0.15, -0.62), (0.02, -0.68)]
    dome = [(-0.27, -1.00), (-0.2, -1.15), (0.05, -1.24), (0.3, -1.15), (0.38, -1.00), (0.22, -1.03), (0.05, -1.01),
            (-0.12, -1.03)]  # fmt: skip
    x, y = pixels(WIDTH, HEIGHT)
    colour = mix(colour, rgb("213a70"), place(ground) * 0.8)
    side = smoothstep(fx - 0.10 * tall, fx + 0.10 * tall, x)
    colour = mix(colour, mix(np.broadcast_to(rgb(shade), colour.shape), rgb(dress), side), place(skirt, 60))
    colour = mix(colour, mix(np.broadcast_to(rgb(shade), colour.shape), rgb(dress), side), place(bodice))
    colour = mix(colour, rgb(shade), place(arm))
    head = smoothstep(0.062, 0.05, np.hypot(x - fx - 0.005 * tall, y - fy + 0.865 * tall) / tall)
    colour = mix(colour, rgb("f0b48c"), head)
    hat = [(-0.09, -0.90), (0.09, -0.90), (0.05, -0.96), (-0.05, -0.96)]
    colour = mix(colour, rgb("7a2438"), place(hat))
    pole = [(0.135, -0.60), (0.15, -0.60), (0.06, -1.2), (0.045, -1.2)]
    colour = mix(colour, rgb("5a3048"), place(pole))
    lit = smoothstep(fx - 0.2 * tall, fx + 0.32 * tall, x)
    under = mix(np.broadcast_to(rgb(parasol) * np.float32(0.55), colour.shape), rgb(parasol), lit)
    return mix(colour, under, place(dome, 80))


def border(colour: Array) -> Array:
    """A painted frame in the complement of what it borders on."""
    x, y = pixels(WIDTH, HEIGHT)
    edge = np.minimum(np.minimum(x, WIDTH - 1 - x), np.minimum(y, HEIGHT - 1 - y))
    frame = mix(np.broadcast_to(rgb("2b2f7a"), colour.shape), 1 - blur(colour, 18), 0.35) * 0.75
    return mix(colour, frame, smoothstep(13, 10, edge))


def scene() -> tuple[Array, Array]:
    """The underpainting that the dots divide, and where finer dots are needed (the figures)."""
    colour = far_bank(sky())
    for boat in (
        (470, 236, 62, "fff2cf"),
        (648, 240, 78, "ffe3b0"),
        (180, 234, 44, "f7d8c8"),
        (360, 234, 34, "fff2cf"),
    ):
        colour = sail(colour, *boat)
    colour = river(colour)
    colour = sail(colour, 690, 352, 128, "fff0c4")
    colour, line = meadow(colour)
    colour = tree(colour, (318, int(line[318]) + 14), 178, 76, 4)
    colour = tree(colour, (96, 410), 62, 150, 9)
    empty = colour
    for lady in (
        ((236, 408), 74, "fff0dc", "8f9ad0", "f2683a"), ((200, 404), 70, "e87a9a", "7a3a8a", "fff2d0"),
        ((432, 474), 100, "f4ede0", "7f8fd0", "d8323a"), ((520, 494), 108, "7a5ac8", "2f2a78", "f7c23c"),
    ):  # fmt: skip
        colour = stroller(colour, *lady)
    return border(colour), np.abs(colour - empty).max(axis=-1) > 0.02


def draw() -> Image.Image:
    """The finished painting."""
    colour, figures = scene()
    everywhere = np.ones_like(figures)
    layers = [(6.5, 4.8, everywhere), (5.2, 3.4, everywhere), (4.9, 2.5, everywhere), (3.0, 1.9, figures)]
    return dots(colour, 3, (226, 205, 190), layers)
