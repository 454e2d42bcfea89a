"""Night over rolling hills: a whirling sky, a crescent moon, a cypress and a lit cottage, in oil."""

import numpy as np
from PIL import Image

from drawing.brush import SCALE, Canvas, Layer, Scene, paint
from drawing.colour import (
    Array,
    mix,
    palette,
    pixels,
    polygon,
    ramp,
    rgb,
    shrink,
    smoothstep,
    to_image,
)
from drawing.noise import curl, even, fbm, ridge_line, streaks, unit

WIDTH, HEIGHT = 768, 608
VORTICES = ((372, 190, 98, 1.0), (505, 262, 62, -1.0), (205, 300, 48, -0.9), (610, 330, 46, 0.8))
STARS = (
    (262, 62, 17), (372, 46, 12), (470, 92, 20), (555, 44, 13), (240, 168, 13), (556, 178, 12),
    (705, 232, 16), (330, 318, 12), (440, 330, 10), (205, 92, 9), (30, 60, 14), (26, 214, 11), (730, 340, 10),
)  # fmt: skip
MOON = (655, 100, 42)


def sky(seed: int) -> tuple[Array, Array, Array]:
    """Colours and flow of the night sky: wind from the left, whirlpools, rings about the lights."""
    x, y = pixels(WIDTH, HEIGHT)
    u, v = curl(fbm(WIDTH, HEIGHT, 170, seed, 2))
    u, v = 0.8 + u * 45, 0.25 * np.sin(x / 95) + v * 45
    lights = [(*star, 1.0) for star in STARS] + [(*MOON, 1.0)]
    for cx, cy, radius, spin in (*VORTICES, *((a, b, 1.9 * r, s) for a, b, r, s in lights)):
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy) + 1e-3
        weight = 9 * np.exp(-((r / radius) ** 2))
        # A little pull to the middle turns closed rings into spirals.
        u += weight * spin * (-dy - 0.22 * spin * dx) / r
        v += weight * spin * (dx - 0.22 * spin * dy) / r
    u, v = unit(u, v)
    band = streaks(u, v, 9, 46, seed + 1)
    high = smoothstep(430, 30, y)
    deep = ramp(band, palette("0d1640 14246b 1b3a94 2a5cb8 4d8fd0 8cc4dc"))
    low = ramp(band, palette("1a3f86 2466a8 3f93bd 74bfc4 b5dcc0 e9e6b0"))
    colour = mix(low, deep, high)
    for cx, cy, radius, _ in VORTICES:
        r = np.hypot(x - cx, y - cy) / radius
        glow = np.exp(-((r * 1.25) ** 2)) * smoothstep(0.45, 0.9, band)
        colour = mix(colour, rgb("f4ecc0"), glow * 0.85)
    for cx, cy, radius in (*STARS, MOON):
        r = np.hypot(x - cx, y - cy) / radius
        rings = 0.5 + 0.5 * np.cos(r * 5.2)
        halo = ramp(np.clip(r / 3.2, 0, 1), palette("fffbe0 ffe88a f7c948 d9d27a 86bfb4 3f7fbf"))
        colour = mix(colour, halo, np.clip(1.25 * np.exp(-((r / 1.75) ** 2)) * (0.72 + 0.28 * rings), 0, 1))
    return colour, u, v


def moon(scene: Scene) -> None:
    """A crescent inside its halo, painted along its own curve."""
    x, y = pixels(WIDTH, HEIGHT)
    cx, cy, radius = MOON
    inside = (np.hypot(x - cx, y - cy) < radius * 0.86) & (np.hypot(x - cx + 17, y - cy + 11) > radius * 0.72)
    lit = ramp(np.clip((x - cx + radius) / (2 * radius), 0, 1), palette("e07a12 f29a1c ffb92e"))
    night = smoothstep(radius * 0.8, radius * 0.6, np.hypot(x - cx + 17, y - cy + 11))
    scene.colour[:] = mix(scene.colour, rgb("c9d089"), night * 0.75)
    scene.colour[inside] = lit[inside]
    scene.label[inside] = 5
    u, v = unit(-(y - cy), x - cx)
    scene.u[inside], scene.v[inside] = u[inside], v[inside]


def ground(scene: Scene, seed: int) -> None:
    """Lay five ridges of hills over the scene, the nearest of them a field of ripe wheat."""
    x, y = pixels(WIDTH, HEIGHT)
    ridges = (
        (392, 26, 210, "0f2350 1c3f7d 2f63a0 5c93b8"),
        (424, 20, 170, "12304f 1b5570 2f7f83 79b39a"),
        (456, 22, 240, "143a3c 22603f 4f8a45 9db45a"),
        (500, 16, 260, "27401f 4f6a26 8f9733 d3b84a"),
        (540, 12, 300, "6b4413 a86f1b dba22c f6d766"),
    )
    for k, (level, swing, cell, codes) in enumerate(ridges):
        line = level + swing * ridge_line(WIDTH, cell, seed + 7 * k, 3, 0.35)
        depth = y - line[None]
        slope = np.gradient(line)[None] * np.exp(-np.clip(depth, 0, None) / 70)
        wave = 0.5 * fbm(WIDTH, HEIGHT, (90, 40), seed + k, 2) * smoothstep(4, 40, depth)
        if k == 4:
            # Wheat stands up and leans with the wind instead of lying along the slope.
            u, v = unit(0.9 + 0.9 * fbm(WIDTH, HEIGHT, 90, seed + 50, 2), np.full_like(x, -1.0))
        else:
            u, v = unit(np.ones_like(x), slope + wave)
        inside = depth > 0
        tone = even(streaks(u, v, 6, 26, seed + 90 + k) - 0.25 * np.clip(depth / 90, 0, 1))
        shade = ramp(tone, palette(codes))
        rim = np.exp(-np.clip(depth, 0, None) / 4.5)
        shade = mix(shade, palette(codes)[-1] * 1.08, rim * 0.75)
        scene.colour[inside] = shade[inside]
        scene.u[inside], scene.v[inside], scene.label[inside] = u[inside], v[inside], 10 + k


def cottage(scene: Scene) -> None:
    """A hamlet in the valley, with lamps behind its windows, and a thin spire."""
    parts: list[tuple[list[tuple[float, float]], str]] = []
    parts.append(([(556, 420), (572, 420), (572, 462), (556, 462)], "6d86b4"))
    parts.append(([(552, 422), (564, 352), (576, 422)], "5a3f78"))
    parts.append(([(561, 428), (567, 428), (567, 440), (561, 440)], "ffd640"))
    houses = (
        (474, 455, 30, 17),
        (590, 452, 33, 18),
        (498, 467, 44, 23),
        (634, 462, 30, 16),
        (549, 474, 54, 25),
    )
    for k, (left, base, wide, tall) in enumerate(houses):
        eave, roof = base - tall, ("b8482a", "8a3550", "c8642e", "a23c34", "bf5228")[k]
        gable = wide * 0.36
        parts.append(([(left, eave), (left + gable / 2, eave - 16), (left + gable, eave), (left + gable, base),
                       (left, base)], "9fb3c8"))  # fmt: skip
        parts.append(([(left + gable, eave), (left + wide, eave), (left + wide, base), (left + gable, base)], "4b659a"))
        parts.append(([(left + gable / 2, eave - 17), (left + wide - 4, eave - 17), (left + wide + 4, eave + 2),
                       (left + gable, eave + 2)], roof))  # fmt: skip
        for at in (0.12, 0.52, 0.78)[: 2 + k % 2]:
            wx = left + wide * at
            parts.append(([(wx, eave + 5), (wx + 7, eave + 5), (wx + 7, eave + 14), (wx, eave + 14)], "ffd640"))
    for k, (points, code) in enumerate(parts):
        inside = polygon(WIDTH, HEIGHT, points) > 0.5
        scene.colour[inside] = rgb(code)
        scene.label[inside] = 30 + k
        scene.u[inside], scene.v[inside] = (0.35, 0.94) if k % 3 else (0.97, 0.2)


def cypress(scene: Scene, seed: int) -> None:
    """Dark tongues of a cypress at the left, flickering from the field up into the stars."""
    x, y = pixels(WIDTH, HEIGHT)
    waver = fbm(WIDTH, HEIGHT, (60, 38), seed, 3)
    tongues = (
        (150, 620, 196, 250, 26), (60, 620, 34, 270, 26), (128, 620, 152, 150, 29), (84, 620, 62, 165, 28),
        (104, 640, 104, 26, 38), (168, 630, 206, 400, 22), (48, 630, 22, 430, 22),
    )  # fmt: skip
    for k, (foot, low, tip, top, wide) in enumerate(tongues):
        t = np.clip((y - top) / (low - top), 0, 1)
        bend = t**0.7
        middle = tip + (foot - tip) * bend + 9 * np.sin(y / 42 + 1.7 * k) * t
        half = wide * np.sin(np.pi * np.clip(t * 0.86, 0, 1) ** 0.62) ** 0.9 + 4 * waver * smoothstep(0, 0.1, t)
        across = (x - middle) / np.maximum(half, 1e-3)
        inside = (np.abs(across) < 1) & (y > top) & (half > 0.5)
        u, v = unit(0.45 * np.sin(y / 30 + across * 1.4 + k) - 0.35 * across, np.full_like(x, -1.0))
        tone = streaks(u, v, 5, 34, seed + k)
        shade = ramp(tone, palette("040a12 0a1c1e 10332b 1d4f35 4f6a2b b07c30"), (0, 0.25, 0.5, 0.75, 0.92, 1))
        shade = mix(shade, rgb("2b6a72"), np.clip(across - 0.4, 0, 1) * 0.8)
        shade = mix(shade, rgb("03070c"), smoothstep(-0.6, -1.0, across) * 0.8)
        scene.colour[inside] = shade[inside]
        scene.u[inside], scene.v[inside], scene.label[inside] = u[inside], v[inside], 20


def draw() -> Image.Image:
    """The finished painting."""
    seed = 11
    colour, u, v = sky(seed)
    scene = Scene(colour, u, v, np.zeros((HEIGHT, WIDTH), int))
    moon(scene)
    ground(scene, 40)
    cottage(scene)
    cypress(scene, 70)
    rng = np.random.default_rng(seed)
    canvas = Canvas(WIDTH, HEIGHT, (24, 34, 70))
    x, y = pixels(WIDTH, HEIGHT)
    paint(canvas, scene, Layer(9, 15, 60, 0.09, 9), rng)
    paint(canvas, scene, Layer(6.5, 8.5, 44, 0.10, 6), rng, np.full((HEIGHT, WIDTH), 0.8))
    near_light = np.zeros_like(x)
    for cx, cy, radius in (*STARS, MOON):
        near_light = np.maximum(near_light, np.exp(-((np.hypot(x - cx, y - cy) / (1.7 * radius)) ** 2)))
    detail = np.where(scene.label >= 20, 0.8, np.where(scene.label >= 10, 0.45, 0.28 + 0.6 * near_light)) + (
        scene.label == 5
    )
    paint(canvas, scene, Layer(4.2, 4.6, 26, 0.10, 4), rng, detail)
    paint(
        canvas,
        scene,
        Layer(3, 2.8, 12, 0.05, 3),
        rng,
        np.where((scene.label >= 30) | (scene.label == 5), 1.0, 0.0),
    )
    return shrink(to_image(canvas.lit(1.6)), SCALE)
