"""A lighthouse on a rocky headland at golden hour, with sailing boats on a quiet sea."""

import numpy as np
from PIL import Image, ImageDraw

from drawing.colour import (
    Array,
    blur,
    mix,
    palette,
    pixels,
    polygon,
    ramp,
    rgb,
    shrink,
    smoothstep,
    spline,
    to_array,
    to_image,
)
from drawing.nature import HEIGHT, SCALE, WIDTH, Light, clouds, finish, hill_line, mirror, ridge
from drawing.noise import even, fbm, smooth_noise
from drawing.rocks import foam, rock
from drawing.seamarks import cottage, sailboat, tower

HORIZON = 372 * SCALE
SUN = (668 * SCALE, 318 * SCALE)
LIGHT = Light(1.0, -0.25, "ffdca8", "54588a")


def sky() -> Array:
    """Evening sky: gold round the sun, rose and violet above, clouds lit from the low right."""
    x, y = pixels(WIDTH, HEIGHT)
    colour = ramp(np.clip(y / HORIZON, 0, 1), palette("3d5c9c 6b80b8 a897bd e0a9a6 f6bd8a ffd189"))
    r = np.hypot((x - SUN[0]) * 0.8, (y - SUN[1]) * 1.25) / SCALE
    colour = mix(colour, rgb("ffc766"), 0.75 * np.exp(-r / 120))
    colour = mix(colour, rgb("fff0b8"), 0.95 * np.exp(-((r / 42) ** 1.2)))
    veil = even(fbm(WIDTH, HEIGHT, (560, 46), 8, 6, 0.55))
    streak = smoothstep(0.58, 0.92, veil) * smoothstep(0, 150 * SCALE, y) * smoothstep(HORIZON, 300 * SCALE, y)
    colour = mix(colour, ramp(np.clip(r / 420, 0, 1), palette("fff0c0 ffc98e f2a08c c88aa6")), streak * 0.75)
    heaps = [
        (540, 132, 420),
        (830, 92, 260),
        (60, 196, 300),
        (420, 246, 230),
        (845, 240, 230),
        (640, 210, 150),
    ]
    thick, bright = clouds(WIDTH, HEIGHT, [(a * SCALE, b * SCALE, c * SCALE) for a, b, c in heaps], 33, LIGHT)
    lit = ramp(bright, palette("7a729e a486a8 d49a9a f6bc90 ffe2b4"))
    colour = mix(colour, lit, thick * 0.85)
    disc = smoothstep(19 * SCALE, 17.5 * SCALE, np.hypot(x - SUN[0], y - SUN[1]))
    return mix(colour, rgb("fffbe6"), disc)


def sea(image: Array) -> Array:
    """Water to the horizon: the sky upside down among ripples, and the sun's glitter."""
    x, y = pixels(WIDTH, HEIGHT)
    water = to_array(mirror(to_image(image), HORIZON, "1f4468 f6c88e", 11, 2.2))
    depth = np.clip(y - HORIZON, 0, None) / (HEIGHT - HORIZON)
    spark = np.zeros_like(x)
    for k, (cell, start) in enumerate((((14, 1.8), 0.0), ((34, 4), 0.10), ((70, 8), 0.35))):
        glint = smooth_noise(WIDTH, HEIGHT, cell, 90 + k)
        spark = np.maximum(spark, smoothstep(0.55, 1.1, glint) * smoothstep(start - 0.12, start + 0.1, depth))
    path = np.exp(-(((x - SUN[0]) / ((26 + 120 * depth) * SCALE)) ** 2)) * smoothstep(0.0, 0.01, depth)
    water = mix(water, rgb("ffe7a6"), np.clip(path * spark * 1.15, 0, 1))
    swell = fbm(WIDTH, HEIGHT, (420, 26), 95, 3)
    water = water * (1 + 0.07 * swell * smoothstep(0.05, 0.5, depth))[..., None]
    haze = smoothstep(0.05, 0.0, depth)
    return mix(image, mix(water, rgb("f0bd94"), haze * 0.45), smoothstep(-1, 1, y - HORIZON))


def headland(image: Array) -> Array:
    """Cliffs, the grassy top with its path, tower and house, and boulders in the surf."""
    s = SCALE
    x, y = pixels(WIDTH, HEIGHT)
    far = hill_line(WIDTH, [(0, 360 * s), (WIDTH * 0.9, 366 * s), (WIDTH, 352 * s)], 4, 90 * s, 6)
    coast = ridge(image, far, "8a7fa4 a58fa8 c9a3a0", 30, 70)
    image = mix(image, coast, smoothstep(HORIZON + 1, HORIZON - 1, y) * smoothstep(690 * s, 800 * s, x) * 0.8)
    cliff = [
        *((-40, 345), (60, 338), (180, 330), (300, 330), (352, 345), (392, 372), (420, 400), (458, 418)),
        *((500, 448), (440, 486), (350, 520), (220, 546), (60, 566), (-40, 570)),
    ]
    image = rock(image, cliff, 14, 46, 520)
    image = foam(image, [(-60, 572), (60, 566), (220, 546), (350, 520), (440, 487), (496, 452)], 5, 19)
    turf = hill_line(
        WIDTH,
        [
            (0, 332 * s),
            (120 * s, 326 * s),
            (240 * s, 322 * s),
            (330 * s, 334 * s),
            (372 * s, 356 * s),
            (WIDTH, 520 * s),
        ],
        2,
        30 * s,
        4,
    )
    skirt = turf + (34 + 12 * fbm(WIDTH, 4, (40 * s, 4), 12, 4)[1]) * s * np.clip(1.15 - x[0] / (400 * s), 0, 1)
    grass = ramp(
        even(fbm(WIDTH, HEIGHT, (7, 22), 61, 4, 0.7) + 0.5 * fbm(WIDTH, HEIGHT, 80, 62, 3)),
        palette("3d4a2c 6a7236 a89a48 e2c064"),
    )
    ragged = skirt[None] + 2.5 * s * fbm(WIDTH, HEIGHT, (8, 30), 63, 2)
    image = mix(
        image,
        grass,
        smoothstep(-1, 1, y - turf[None]) * smoothstep(2, -2, y - ragged) * smoothstep(378 * s, 366 * s, x),
    )
    path = spline([(20, 372), (110, 350), (200, 338), (262, 330)], 80) * s
    line = np.interp(x[0], path[:, 0], path[:, 1])[None] + 2 * smooth_noise(WIDTH, HEIGHT, 24, 64)
    image = mix(
        image,
        rgb("e8c494"),
        smoothstep(5 * s, 3.5 * s, np.abs(y - line)) * smoothstep(266 * s, 250 * s, x) * 0.85,
    )
    shadow = polygon(
        WIDTH,
        HEIGHT,
        [(206 * s, 334 * s), (262 * s, 334 * s), (60 * s, 352 * s), (0, 352 * s), (0, 342 * s)],
        1,
    )
    image = image * (1 - 0.35 * blur(shadow, 4))[..., None]
    image = tower(image)
    picture = to_image(image)
    cottage(ImageDraw.Draw(picture))
    return to_array(picture)


def draw() -> Image.Image:
    """The finished picture."""
    s = SCALE
    image = sea(sky())
    image = sailboat(image, 770, 392, 20, "f0c08c")
    image = sailboat(image, 590, 400, 27, "f6cc98")
    image = headland(image)
    image = sailboat(image, 690, 486, 74, "f2c490")
    islet = [(440, 548), (462, 522), (500, 508), (540, 524), (574, 550), (510, 562)]
    image = rock(image, islet, 41, 34, 566)
    image = foam(image, [(450, 550), (508, 561), (566, 551)], 41, 11)
    near_left = [(-30, 600), (60, 578), (130, 590), (214, 604), (286, 628), (352, 660), (400, 700), (-30, 720)]
    image = rock(image, near_left, 51, 34, 720)
    near_right = [(716, 700), (760, 662), (820, 640), (860, 606), (940, 596), (940, 720), (716, 720)]
    image = rock(image, near_right, 46, 34, 720)
    picture = to_image(image)
    pen = ImageDraw.Draw(picture)
    for x, y, size in ((420, 190, 13), (452, 172, 9), (384, 214, 8), (120, 150, 10), (545, 268, 7)):
        wing = [
            (x + a * size, y + b * size)
            for a, b in spline([(-1, -0.35), (-0.5, -0.5), (0, 0), (0.5, -0.55), (1, -0.3)], 30)
        ]
        pen.line([(a * s, b * s) for a, b in wing], fill=(70, 60, 90), width=3)
    return shrink(to_image(finish(to_array(picture), 5)), SCALE)
