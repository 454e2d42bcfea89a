"""What people set by the sea: the lighthouse, its keeper's cottage, sailing boats."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from drawing.colour import Array, Point, mix, pixels, polygon, ramp, rgb, smoothstep, spline, to_array, to_image
from drawing.nature import HEIGHT, SCALE, WIDTH
from drawing.noise import fbm


def tower(image: Array) -> Array:
    """The lighthouse: a tapering white cylinder with two red bands, gallery, lantern and dome."""
    s = SCALE
    x, y = pixels(WIDTH, HEIGHT)
    x, y = x / s, y / s
    middle, top, foot = 236.0, 118.0, 322.0

    def drum(high: float, low: float, wide_high: float, wide_low: float) -> tuple[Array, Array]:
        """Mask of a round part with bowed edges, and how its side is turned to the sun."""
        t = (y - high) / (low - high)
        half = wide_high + (wide_low - wide_high) * np.clip(t, 0, 1)
        across = (x - middle) / half
        bow = 0.16 * half * (np.sqrt(np.clip(1 - across**2, 0, 1)))
        mask = (
            smoothstep(1.02, 0.98, np.abs(across))
            * smoothstep(-0.5, 0.5, y - high)
            * smoothstep(0.5, -0.5, y - low - bow)
        )
        facing = np.clip(0.80 * across + 0.50 * np.sqrt(np.clip(1 - across**2, 0, 1)), -0.2, 1)
        return mask, facing

    def put(part: tuple[Array, Array], dark: str, light: str) -> None:
        nonlocal image
        mask, facing = part
        image = mix(
            image,
            ramp(
                np.clip(facing + 0.15, 0, 1),
                np.stack([rgb(dark), mix(rgb(dark), rgb(light), 0.6), rgb(light)]),
            ),
            mask,
        )

    put(drum(top, foot, 19, 30), "77759c", "fff3dc")
    for high, low in ((158, 196), (238, 276)):
        a, b = ((h - top) / (foot - top) * 11 + 19 for h in (high, low))
        mask, facing = drum(high, low, a, b)
        across = (x - middle) / (a + b) * 2
        bow = 0.16 * a * np.sqrt(np.clip(1 - across**2, 0, 1))
        put((mask * smoothstep(-0.5, 0.5, y - high - bow), facing), "6a2038", "e8482e")
    for wx, wy in ((240, 146), (232, 216), (242, 296)):
        pane = polygon(
            WIDTH, HEIGHT, [((wx + a) * s, (wy + b) * s) for a, b in ((-3, 0), (3, 0), (3, 11), (-3, 11))], 1
        )
        image = mix(image, rgb("3a3550"), pane)
    put(drum(112, 121, 27, 23), "3b3552", "c99a7a")
    put(drum(84, 112, 13.5, 13.5), "d98a3a", "fff2b0")
    glow = np.exp(-np.hypot(x - middle, y - 98) / 26)
    image = mix(image, rgb("ffe9a0"), glow * 0.55)
    dome = [(-17, 85), (-13, 75), (-5, 67), (0, 65), (5, 67), (13, 75), (17, 85)]
    cap = polygon(WIDTH, HEIGHT, [((middle + a) * s, b * s) for a, b in dome], 2)
    put((cap, drum(64, 86, 17, 17)[1]), "5a1c34", "e8582e")
    pen_image = to_image(image)
    pen = ImageDraw.Draw(pen_image)
    for k in range(-2, 3):
        pen.line([((middle + 6.4 * k) * s, 85 * s), ((middle + 6.4 * k) * s, 112 * s)], fill=(66, 44, 60), width=3)
    for k in np.linspace(-26, 26, 12):
        pen.line([((middle + k) * s, 101 * s), ((middle + k) * s, 113 * s)], fill=(52, 42, 62), width=2)
    for level in (101, 106):
        pen.line([((middle - 27) * s, level * s), ((middle + 27) * s, level * s)], fill=(52, 42, 62), width=3)
    pen.line([(middle * s, 66 * s), (middle * s, 50 * s)], fill=(52, 42, 62), width=4)
    pen.ellipse([(middle - 2.5) * s, 60 * s, (middle + 2.5) * s, 65 * s], fill=(90, 50, 60))
    return to_array(pen_image)


def cottage(pen: ImageDraw.ImageDraw) -> None:
    """The keeper's house, its gable in the sun, a lamp behind one window."""
    s = SCALE

    def face(code: str, *points: Point) -> None:
        r, g, b = (rgb(code) * 255).astype(int)
        pen.polygon([(x * s, y * s) for x, y in points], fill=(int(r), int(g), int(b)))

    face("a79db4", (118, 330), (190, 334), (190, 300), (118, 298))
    face("ffeccb", (190, 334), (214, 328), (214, 297), (203, 278), (190, 300))
    face("7a3a44", (112, 300), (192, 303), (204, 276), (128, 274))
    for k in range(1, 6):
        t = k / 6
        pen.line(
            [((112 + 16 * t) * s, (300 - 26 * t) * s), ((192 + 12 * t) * s, (303 - 27 * t) * s)],
            fill=(96, 44, 56),
            width=3,
        )
    face("d8604a", (192, 303), (204, 276), (207, 276), (218, 299), (214, 299), (204, 280))
    for left, code in ((128, "ffcf6a"), (166, "4a4866")):
        face("e6dcd8", (left - 1.5, 306), (left + 11.5, 306.5), (left + 11.5, 322), (left - 1.5, 321.5))
        face(code, (left, 307.5), (left + 10, 308), (left + 10, 320.5), (left, 320))
        pen.line([((left + 5) * s, 308 * s), ((left + 5) * s, 320 * s)], fill=(230, 220, 216), width=2)
    face("5a3340", (147, 309), (157, 309.5), (157, 332), (147, 331.5))
    face("4a5578", (199, 304), (206, 302), (206, 315), (199, 317))
    face("96708a", (142, 282), (150, 282), (150, 262), (142, 262))
    face("ffd9b0", (150, 282), (154, 281), (154, 261), (150, 262))


def sailboat(image: Array, x: float, y: float, size: float, tint: str) -> Array:
    """A sloop with two sails, dark against the glitter but shining through, and its broken reflection."""
    s = SCALE
    left, right = int((x - size) * s), int(min((x + size) * s, WIDTH))
    top, low = int((y - 1.7 * size) * s), int(min((y + 1.6 * size) * s, HEIGHT))
    layer = Image.new("RGBA", (right - left, low - top), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)

    def at(points: list[Point]) -> list[Point]:
        return [((x + a * size) * s - left, (y + b * size) * s - top) for a, b in points]

    def fill(code: str) -> tuple[int, int, int, int]:
        r, g, b = (rgb(code) * 255).astype(int)
        return int(r), int(g), int(b), 255

    def curve(points: list[Point]) -> list[Point]:
        return [(float(a), float(b)) for a, b in spline(points, 30)]

    luff, leech = (0.0, -1.55), curve([(0.0, -1.55), (-0.30, -0.80), (-0.55, -0.22)])
    pen.polygon(at([*leech, (0.0, -0.22)]), fill=fill(tint))
    pen.polygon(at([luff, (0.0, -0.22), (-0.18, -0.22), (-0.10, -0.85)]), fill=fill("fff1d2"))
    pen.polygon(at([*curve([(0.05, -1.40), (0.36, -0.75), (0.62, -0.20)]), (0.06, -0.24)]), fill=fill("ffe2b4"))
    pen.line(at([(0.02, -1.62), (0.02, -0.1)]), fill=fill("4a3040"), width=max(int(size * s * 0.03), 2))
    pen.polygon(at([(-0.62, -0.15), (0.78, -0.20), (0.56, 0.06), (-0.50, 0.06)]), fill=fill("5a2c3c"))
    pen.polygon(at([(-0.62, -0.15), (0.78, -0.20), (0.75, -0.13), (-0.60, -0.09)]), fill=fill("f2d3b0"))
    boat = to_array(layer)
    height, width = boat.shape[:2]
    px, py = pixels(width, height)
    foot = (y + 0.04 * size) * s - top
    wave = fbm(width, height, (size * s * 0.5, size * s * 0.07), int(x), 3)
    where = (2 * foot - py + wave * size * s * 0.05, px + wave * size * s * 0.08)
    flip = np.stack([ndimage.map_coordinates(boat[..., c], where, order=1) for c in range(4)], axis=-1)
    fade = (py > foot) * np.exp(-np.clip(py - foot, 0, None) / (size * s * 0.9)) * smoothstep(-1.3, 0.3, wave)
    image = image.copy()
    part = mix(image[top:low, left:right], flip[..., :3] * 0.9, flip[..., 3] * fade * 0.8)
    image[top:low, left:right] = mix(part, boat[..., :3], boat[..., 3])
    return image
