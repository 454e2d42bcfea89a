"""A breaking wave before a snowy mountain and a red sun, as a colour woodcut."""

import numpy as np
from PIL import Image

from drawing.colour import Array, pixels, smoothstep, spline
from drawing.noise import ridge_line
from drawing.woodcut import Print, gouge, ribbon

WIDTH, HEIGHT = 768, 560
HORIZON = 372
# The breaker in its own frame: the back and the hollow face both run from the foot to the falling tip.
BACK = (
    (-150, 520),
    (-60, 420),
    (10, 330),
    (70, 225),
    (140, 130),
    (225, 78),
    (310, 78),
    (375, 118),
    (408, 190),
)
FACE = (
    (560, 540),
    (470, 480),
    (370, 455),
    (290, 400),
    (252, 330),
    (258, 255),
    (300, 200),
    (355, 175),
    (408, 190),
)


def sky(sheet: Print, rng: np.random.Generator) -> None:
    """Gradation towards the horizon, the sun behind bars of cloud, and fine lines cut into the air."""
    _, y = pixels(WIDTH, HEIGHT)
    sheet.fade("gold", 0.15 + 0.75 * smoothstep(90, HORIZON, y))
    sheet.fade("pale", 0.85 * smoothstep(170, 0, y))
    t = np.linspace(0, 2 * np.pi, 90)
    sheet.add(np.stack([560 + 78 * np.cos(t), 176 + 78 * np.sin(t)], axis=-1), "red")
    for k in range(30):
        level = 12 + 8.6 * k
        wave = level + 2.0 * ridge_line(WIDTH, 150, 300 + k, 2)
        start = -20.0
        while start < WIDTH:
            # Long strokes at the top, ever shorter and thinner ones lower down.
            long = rng.uniform(90, 300) * (1 - 0.5 * k / 30)
            at = np.linspace(start, start + long, 40)
            path = np.stack([at, np.interp(at, np.arange(WIDTH), wave)], axis=-1)
            if np.hypot(at.mean() - 560, level - 176) > 130:
                sheet.line(path, gouge(40, 4.4 * (1 - k / 31) ** 1.1, rng), "blue" if k % 3 else "ink")
            start += long + rng.uniform(8, 40) * (1 + k / 12)
    for left, level, long, thick in (
        (455, 214, 190, 11),
        (520, 232, 240, 9),
        (470, 150, 120, 7),
        (580, 128, 150, 6),
    ):
        at = np.linspace(left, left + long, 60)
        path = np.stack([at, level + 3 * np.sin((at - left) / 26)], axis=-1)
        width = thick * np.sin(np.pi * np.linspace(0, 1, 60)) ** 0.5
        sheet.shape(cloud(path, width))
        sheet.line(path + np.array([0, thick * 0.55]), gouge(60, 2.4, rng), "ink")


def cloud(path: Array, thick: Array) -> Array:
    """Outline of a bar of cloud: flat below, billowing above."""
    bumps = thick * (0.7 + 0.5 * np.abs(np.sin(np.linspace(0, 11, len(path)))))
    up = path - np.stack([0 * bumps, bumps], axis=-1)
    return np.concatenate([up, (path + np.stack([0 * thick, thick * 0.4], axis=-1))[::-1]])


def mountain(sheet: Print, rng: np.random.Generator) -> None:
    """A snow-capped cone; its shaded side is hatched down the slope."""
    peak, foot = np.array([556.0, 196.0]), HORIZON + 6
    left = spline([(330, foot), (430, 326), (500, 258), (542, 199)], 60)
    right = spline([(570, 199), (618, 256), (700, 322), (830, foot)], 60)
    sheet.shape(np.concatenate([left, [(556, 203)], right]), "blue", "pale")
    for k in range(34):
        s = (k + rng.uniform(-0.2, 0.2)) / 33
        low = np.array([590 + 230 * s, foot])
        bend = np.array([peak[0] + 12 + 76 * s**0.9, 276])
        path = spline([(peak[0] + 6 + 8 * s, peak[1] + 6), tuple(bend), tuple(low)], 50)
        first = int(rng.uniform(0, 22))
        sheet.line(path[first:], gouge(50 - first, 2.6, rng, 0.8), "ink")
    for k in range(9):
        path = spline([(546 - 3 * k, 206 + 6 * k), (520 - 10 * k, 262 + 8 * k), (470 - 16 * k, foot)], 50)
        sheet.line(path[rng.integers(16, 30) :], 1.2, "ink")
    snow = [(500, 258), (542, 199), (556, 203), (570, 199), (618, 256), (604, 262), (598, 248), (586, 284), (574, 256),
            (562, 296), (550, 258), (536, 282), (530, 254), (514, 268), (512, 256)]  # fmt: skip
    sheet.shape(snow)
    for k in range(7):
        path = spline([(566 + 0.5 * k, 205 + 2 * k), (580 + 4 * k, 236 - k), (586 + 6 * k, 262 - 2 * k)], 30)
        sheet.line(path, gouge(30, 2.0, rng, 0.8), "ink")
    for side in (left, right):
        sheet.line(side, 2.6, "ink")


def swell(sheet: Print, level: float, height: float, seed: int, rng: np.random.Generator) -> None:
    """One row of pointed waves with lines cut parallel to its crests, and a little foam on top."""
    x = np.arange(-10, WIDTH + 10, 2.0)
    phase = x / (height * 4.6) + 0.5 * ridge_line(len(x), 60, seed, 2) + seed
    crest = level - height * (1 - np.abs(np.sin(phase)) ** 0.8) + 0.15 * height * np.sin(x / 31 + seed)
    top = np.stack([x, crest], axis=-1)
    sheet.shape(np.concatenate([top, [(WIDTH + 10, HEIGHT), (-10, HEIGHT)]]), "pale")
    flat = np.full_like(crest, level + height * 0.4)
    for k in range(9):
        s = ((k + 0.6) / 8) ** 1.25
        path = np.stack([x, crest + (flat - crest) * 0.55 * s + s * height * 1.35], axis=-1)
        slope = np.gradient(path[:, 1])
        # The far side of each wave lies in shadow: its lines are cut wide, the lit side's thin.
        shade = np.clip(0.55 + 1.1 * slope / (np.abs(slope).max() + 1e-6), 0.1, 1.5)
        thick = height * 0.13 * shade * (1 + 0.2 * ridge_line(len(x), 12, seed + k, 2)) + 0.6
        sheet.line(path, thick, "blue" if k % 2 else "ink")
    sheet.line(top, height * 0.06 + 1.2, "ink")
    for i in np.flatnonzero((crest[1:-1] < crest[:-2]) & (crest[1:-1] < crest[2:])) + 1:
        # Foam slides down the lit side of each crest and thins out.
        run = rng.uniform(0, 1, (16, 1)) ** 1.6
        spot = top[i] + run * (height * 1.9, height * 0.75) + rng.normal(0, 0.07 * height, (16, 2))
        froth(sheet, spot, height * 0.085, rng)


def froth(sheet: Print, spots: Array, size: float, rng: np.random.Generator) -> None:
    """A clump of foam: bubbles with one outline round all of them."""
    sizes = size * rng.uniform(0.6, 1.3, len(spots))
    for grow, names in ((max(size * 0.18, 1.3), ("ink",)), (0.0, ())):
        for (x, y), radius in zip(spots, sizes, strict=True):
            sheet.disc(x, y, radius + grow, *names)


def claw(sheet: Print, start: Array, angle: float, size: float, rng: np.random.Generator) -> None:
    """A finger of foam: it leaps from the crest, bends over and ends in two or three hooked nails."""
    tips = [(0.0, 1.0), (rng.uniform(-1.0, -0.5), 0.72), (rng.uniform(0.5, 1.0), 0.66)]
    limbs = []
    for lean, part in tips:
        t = np.linspace(0, 1, 24)
        heading = angle + lean * t**0.5 + 1.5 * t**1.8
        step = size * part / 24
        path = start + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=-1) * step, axis=0)
        limbs.append((path, size * 0.34 * part * (1 - t**1.3) + 0.8))
    for grow, names in ((3.6, ("ink",)), (0.0, ())):
        for path, thick in limbs:
            sheet.shape(ribbon(path, thick + grow), *names)


def breaker(sheet: Print, move: tuple[float, float], size: float, seed: int) -> None:
    """A curling wave: striped from foot to tip, its crest torn into fingers of foam."""
    rng = np.random.default_rng(seed)
    back = spline(BACK, 160) * size + move
    face = spline(FACE, 160) * size + move
    sheet.shape(np.concatenate([back, face[::-1], [(move[0] - 60 * size, HEIGHT + 40)]]), "blue", "pale")
    stripes = 17
    for k in range(stripes):
        s = (k + 0.5) / stripes
        path = back + (face - back) * (s + 0.02 * np.sin(np.linspace(0, 9, 160) + k))[:, None]
        step = (face - back) / stripes
        room = np.linalg.norm(step, axis=1)
        if k % 2:
            # Light stripes are carved out of the dark blocks, every other one of all blocks.
            light = ("pale",) if k % 4 == 1 else ()
            sheet.shape(np.concatenate([path, (path + 0.72 * step)[::-1]]), *light)
        thin = 1 - 0.45 * np.linspace(0, 1, 160)
        sheet.line(path, np.minimum(room * (0.30 + 0.42 * s) * thin, 11 * size) + 0.5, "ink")
    sheet.line(back, 4.2 * size + 1, "ink")
    sheet.line(face, 3.4 * size + 1, "ink")
    tangent = np.gradient(back, axis=0)
    heading = np.arctan2(tangent[:, 1], tangent[:, 0])
    # Foam lies on the crest in a belt that widens to the tip; fingers grow out of its edge.
    belt = []
    inward = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    for i in range(70, 160, 2):
        depth = rng.uniform(-0.25, 0.9, (3, 1)) * 30 * size * (i - 52) / 108
        belt.extend(back[i] + depth * inward[i])
    for i in range(72, 160, 5):
        grown = size * rng.uniform(36, 58) * (0.45 + (i / 160) ** 2)
        claw(sheet, back[i], heading[i] - rng.uniform(0.2, 1.0), grown, rng)
    froth(sheet, np.array(belt), 8.5 * size, rng)
    for i in range(80, 158, 5):
        depth = min(0.16 * np.linalg.norm(face[i] - back[i]), 22 * size)
        claw(
            sheet,
            back[i] + depth * inward[i],
            heading[i] + rng.uniform(0.4, 1.1),
            size * rng.uniform(26, 48),
            rng,
        )
    for k in range(6):
        claw(sheet, back[159] - (4 * k * size, 7 * k * size), 0.2 + 0.25 * k, size * rng.uniform(50, 74), rng)
    for _ in range(70):
        at = back[159] + rng.normal(0, 1, 2) * (75 * size, 60 * size) + (30 * size, 10 * size)
        sheet.disc(*at, rng.uniform(0.9, 3.2) * size)


def draw() -> Image.Image:
    """The finished print."""
    rng = np.random.default_rng(5)
    sheet = Print(
        WIDTH,
        HEIGHT,
        {"gold": "f2b36a", "pale": "8fb9c4", "red": "dc4a2c", "blue": "3f74a6", "ink": "14213f"},
    )
    sky(sheet, rng)
    mountain(sheet, rng)
    for level, height, seed in ((384, 10, 3), (402, 15, 8), (428, 22, 5)):
        swell(sheet, level, height, seed, rng)
    breaker(sheet, (24, 20), 1.0, 2)
    swell(sheet, 478, 34, 11, rng)
    breaker(sheet, (470, 300), 0.5, 3)
    swell(sheet, 545, 46, 6, rng)
    return sheet.pull("f4e8cf", 9)
