"""Houses and a church in oblique view, for painting in Pillow: lit fronts, shaded sides, tiled roofs."""

import numpy as np
from PIL import ImageDraw

from drawing.colour import Array, Point, mix, palette, rgb
from drawing.nature import SCALE, Light

LIGHT = Light(-1.0, -0.8, "fff0d0", "5b6a96")
WALLS = palette("f3e3c3 edcf9b e8b98a f2d9c0 d99f78 f6ead6 e3c08c eab7a0")
ROOFS = palette("b9573a c4673f a64a33 cf7a4c b5603f")
SHUTTERS = palette("3f6a5a 3a5f86 7a3b34 4d7a4a")


def ink(colour: Array, light: float = 1.0) -> tuple[int, int, int]:
    """Colour for Pillow under full light (1) or in bluish shade (below 1)."""
    shade = mix(rgb(LIGHT.shade) * 0.9, np.ones(3, np.float32), min(light, 1.0))
    r, g, b = (np.clip(colour * shade * rgb(LIGHT.sun) * max(light, 1.0), 0, 1) * 255).astype(int)
    return int(r), int(g), int(b)


class House:
    """A house in oblique view: its front towards us, one side running back to the right."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, at: Point, size: tuple[float, float, float], rng: np.random.Generator
    ):
        self.draw, self.rng = draw, rng
        self.x, self.y = at
        self.w, self.h, depth = size
        self.back = np.array([0.55 * depth, -0.26 * depth])
        self.wall = WALLS[rng.integers(len(WALLS))] * rng.uniform(0.92, 1.03)
        self.roof = ROOFS[rng.integers(len(ROOFS))] * rng.uniform(0.9, 1.08)
        self.shutter = SHUTTERS[rng.integers(len(SHUTTERS))]

    def face(self, points: list[Point], colour: Array, light: float) -> None:
        """One flat side."""
        self.draw.polygon(points, fill=ink(colour, light))

    def tiles(self, a: Point, b: Point, c: Point, d: Point, light: float) -> None:
        """A slope of the roof with eave ``a``-``b`` and ridge ``d``-``c``, ruled with courses of tiles."""
        self.face([a, b, c, d], self.roof, light)
        a, b, c, d = (np.array(p) for p in (a, b, c, d))
        courses = max(int(np.linalg.norm(d - a) / 4.5), 3)
        for k in range(courses):
            t = k / courses
            p, q = a + (d - a) * t, b + (c - b) * t
            tone = self.roof * (0.80 + 0.08 * (k % 2))
            self.draw.line([tuple(p), tuple(q)], fill=ink(tone, light), width=2)
        for _ in range(courses * 5):
            s, t = self.rng.uniform(0, 0.96), self.rng.uniform(0, 0.9)
            p = a + (b - a) * s + (d - a) * t
            q = p + (b - a) * 0.04 + (d - a) * 0.08
            tone = self.roof * self.rng.uniform(0.75, 1.25)
            self.draw.line([tuple(p), tuple(q)], fill=ink(tone, light), width=3)

    def window(self, x: float, y: float, w: float, h: float, light: float, skew: float = 0.0) -> None:
        """A window with its frame, sill and open shutters; ``skew`` slants it on the side wall."""

        def box(left: float, top: float, right: float, low: float) -> list[Point]:
            return [
                (left, top + skew * (left - x)),
                (right, top + skew * (right - x)),
                (right, low + skew * (right - x)),
                (left, low + skew * (left - x)),
            ]

        self.face(box(x - 0.75 * w, y, x - 0.02 * w, y + h), self.shutter, light)
        self.face(box(x + w * 1.02, y, x + w * 1.75, y + h), self.shutter, light)
        self.face(box(x - 1.5, y - 1.5, x + w + 1.5, y + h + 1.5), self.wall * 1.12, light)
        self.face(box(x, y, x + w, y + h), rgb("2c3440"), light)
        self.face(box(x + w * 0.1, y + h * 0.08, x + w * 0.45, y + h * 0.5), rgb("6d8296"), light)
        self.face(box(x - w * 0.2, y + h + 1, x + w * 1.2, y + h + 3.5), self.wall * 0.8, light)

    def build(self) -> None:
        """Draw the house from back to front."""
        x, y, w, h = self.x, self.y, self.w, self.h
        bx, by = self.back
        rise = w * self.rng.uniform(0.24, 0.34)
        lip = 3.5
        gable_front = self.rng.uniform() < 0.4
        self.face([(x + w, y), (x + w + bx, y + by), (x + w + bx, y - h + by), (x + w, y - h)], self.wall, 0.52)
        if gable_front:
            top = (x + w / 2, y - h - rise)
            self.face([(x, y), (x + w, y), (x + w, y - h), top, (x, y - h)], self.wall, 1.0)
            eave = (x + w + lip, y - h + lip)
            self.tiles(eave, (eave[0] + bx, eave[1] + by), (top[0] + bx, top[1] + by), top, 0.70)
            self.draw.line([(x - lip, y - h + lip * 0.7), top], fill=ink(self.roof, 1.1), width=5)
        else:
            rise = min(rise, 0.8 * np.hypot(bx, by) + 12)
            top = (x + w + bx / 2, y - h + by / 2 - rise)
            self.face([(x + w, y - h), (x + w + bx, y - h + by), top], self.wall, 0.52)
            self.face([(x, y), (x + w, y), (x + w, y - h), (x, y - h)], self.wall, 1.0)
            self.draw.polygon(
                [(x, y - h), (x + w, y - h), (x + w, y - h + 6), (x, y - h + 6)], fill=ink(self.wall, 0.6)
            )
            eave = (x - lip, y - h + lip)
            ridge = (x + bx / 2 - lip, top[1])
            self.tiles(eave, (x + w + lip, eave[1]), (top[0] + lip, top[1]), ridge, 1.04)
            cx = x + w * self.rng.uniform(0.25, 0.8) + bx / 2
            self.face(
                [(cx, top[1] + 8), (cx + 9, top[1] + 8), (cx + 9, top[1] - 14), (cx, top[1] - 14)],
                self.wall * 0.9,
                1,
            )
            self.face(
                [(cx + 9, top[1] + 8), (cx + 13, top[1] + 6), (cx + 13, top[1] - 16), (cx + 9, top[1] - 14)],
                self.wall,
                0.5,
            )
        pane, storey = 9.5, 33.0
        floors, columns = max(int(h / storey), 1), max(int(w / 34), 1)
        for f in range(floors):
            for c in range(columns):
                if self.rng.uniform() < 0.9:
                    wx = x + w * (c + 0.5) / columns - pane / 2
                    self.window(wx, y - h + 10 + f * storey, pane, 17, 1.0)
        if bx > 30:
            for f in range(floors):
                wx = x + w + bx * 0.45
                self.window(wx, y - h + by * 0.45 + 10 + f * storey, pane * 0.6, 17, 0.5, by / bx)


def church(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    """Nave, bell tower with arched openings and a pyramid roof."""
    s = SCALE
    stone = rgb("ecdcbc")

    def box(
        left: float, top: float, right: float, low: float, light: float, colour: Array = stone, slant: float = 0.0
    ) -> None:
        points = [
            (x + left * s, y + top * s),
            (x + right * s, y + (top + slant) * s),
            (x + right * s, y + (low + slant) * s),
            (x + left * s, y + low * s),
        ]
        draw.polygon(points, fill=ink(colour, light))

    nave = House(draw, (x + 22 * s, y), (62 * s, 44 * s, 60 * s), np.random.default_rng(12))
    nave.wall = stone
    nave.build()
    box(-14, -126, 14, 4, 1.0)
    box(14, -126, 26, 4, 0.5, slant=-5)
    for band in (-126, -92, -50):
        box(-16, band - 2, 16, band + 2, 1.08)
        box(16, band - 2, 27, band + 2, 0.6, slant=-5)
    for left in (-9, 2):
        draw.ellipse([x + left * s, y - 122 * s, x + (left + 7) * s, y - 112 * s], fill=(48, 50, 66))
        box(left, -117, left + 7, -99, 1, rgb("30323f"))
    box(18, -118, 22, -101, 0.6, rgb("30323f"), -2)
    draw.ellipse([x - 8 * s, y - 82 * s, x + 8 * s, y - 66 * s], fill=(246, 240, 226), outline=(90, 70, 60), width=3)
    draw.line([(x, y - 80 * s), (x, y - 74 * s), (x + 4 * s, y - 71 * s)], fill=(40, 30, 30), width=3)
    tip = (x + 5 * s, y - 176 * s)
    draw.polygon([(x - 17 * s, y - 128 * s), (x + 16 * s, y - 128 * s), tip], fill=ink(ROOFS[0], 1.05))
    draw.polygon([(x + 16 * s, y - 128 * s), (x + 28 * s, y - 133 * s), tip], fill=ink(ROOFS[0], 0.55))
    draw.line([(tip[0], tip[1] + 4), (tip[0], tip[1] - 12 * s)], fill=(60, 50, 50), width=3)
    draw.line([(tip[0] - 4 * s, tip[1] - 8 * s), (tip[0] + 4 * s, tip[1] - 8 * s)], fill=(60, 50, 50), width=3)
