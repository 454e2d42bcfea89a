"""Mosaic: square tesserae laid in rows along the contours of the forms, in dark grout.

The tiles come from a centroidal Voronoi diagram whose distance is the larger of two coordinates, measured
in a frame that turns with the contours (Hausner, "Simulating decorative mosaics", SIGGRAPH 2001).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage, spatial

from drawing.colour import Array, blur, rgb, shrink, smoothstep, to_image
from drawing.noise import fbm, smooth_noise

SCALE = 2


@dataclass(frozen=True)
class Cartoon:
    """The drawing that tiles follow: colours, regions, tile size in pixels, where the glass is gilt.

    ``placed`` holds tiles set by hand (x, y); regions that have some get no others.
    """

    colour: Array
    label: Array
    size: Array
    gold: Array
    placed: Array


def contour_angle(label: Array) -> Array:
    """Direction of the rows at each pixel: along the nearest edge between regions."""
    edge = np.zeros(label.shape, bool)
    edge[:, 1:] |= label[:, 1:] != label[:, :-1]
    edge[1:] |= label[1:] != label[:-1]
    dy, dx = np.gradient(blur(ndimage.distance_transform_edt(~edge).astype(np.float32), 1.5))
    # Angles are averaged doubled, since a row has no front and back.
    return 0.5 * np.arctan2(blur(2 * dx * dy, 4), blur(dx * dx - dy * dy, 4))


def nearest(points: Array, seeds: Array, angle: Array, size: Array, pixel_label: Array, seed_label: Array) -> Array:
    """The tile of every point: least larger coordinate in the tile's own frame, within its own region."""
    _, near = spatial.cKDTree(seeds).query(points, k=8)
    d = points[:, None] - seeds[near]
    c, s = np.cos(angle[near]), np.sin(angle[near])
    far = np.maximum(np.abs(d[..., 0] * c + d[..., 1] * s), np.abs(d[..., 1] * c - d[..., 0] * s)) / size[near]
    far = far + 100 * (seed_label[near] != pixel_label[:, None])
    return near[np.arange(len(points)), far.argmin(axis=1)]


def lay(cartoon: Cartoon, seed: int, rounds: int) -> tuple[Array, Array]:
    """Centres of the tiles, and the tile that each pixel of the enlarged picture is part of."""
    rng = np.random.default_rng(seed)
    height, width = cartoon.label.shape
    direction = contour_angle(cartoon.label)
    column, row = cartoon.placed.astype(int).T
    free = ~np.isin(cartoon.label, cartoon.label[row, column])
    weight = (free / cartoon.size**2).ravel()
    pick = rng.choice(weight.size, int(weight.sum()), replace=False, p=weight / weight.sum())
    strewn = np.stack([pick % width, pick // width], axis=-1) + rng.uniform(-0.5, 0.5, (len(pick), 2))
    seeds = np.concatenate([strewn, cartoon.placed])

    def at(field: Array, p: Array) -> Array:
        return field[np.clip(p[:, 1], 0, height - 1).astype(int), np.clip(p[:, 0], 0, width - 1).astype(int)]

    def assign(points: Array) -> Array:
        label = at(cartoon.label, seeds)
        return nearest(points, seeds, at(direction, seeds), at(cartoon.size, seeds), at(cartoon.label, points), label)

    y, x = np.mgrid[0:height:2, 0:width:2]
    points = np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32)
    for _ in range(rounds):
        tile = assign(points)
        count = np.bincount(tile, minlength=len(seeds))
        for axis in range(2):
            total = np.bincount(tile, points[:, axis], minlength=len(seeds))
            seeds[:, axis] = np.where(count > 0, total / np.maximum(count, 1), seeds[:, axis])
    y, x = np.mgrid[0 : height * SCALE, 0 : width * SCALE]
    points = np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32) / SCALE
    return seeds, assign(points).reshape(height * SCALE, width * SCALE)


def tesserae(cartoon: Cartoon, seed: int, rounds: int = 14) -> Image.Image:
    """Lay the tiles and light them: each is a little off in colour and tilt, with a bevel and dark joints."""
    height, width = cartoon.label.shape
    seeds, tile = lay(cartoon, seed, rounds)
    rng = np.random.default_rng(seed + 1)
    row = np.clip(seeds[:, 1], 0, height - 1).astype(int)
    column = np.clip(seeds[:, 0], 0, width - 1).astype(int)
    gold = cartoon.gold[row, column] > 0.5
    value = rng.normal(1, np.where(gold, 0.16, 0.13))[:, None]
    colour = cartoon.colour[row, column] * value + rng.normal(0, 0.025, (len(seeds), 3))
    # Gilt glass throws the light now and then straight into the eye.
    flash = gold & (rng.uniform(size=len(seeds)) < 0.09)
    colour[flash] = colour[flash] * 0.5 + rgb("fff3c4") * 0.55

    edge = np.zeros(tile.shape, bool)
    edge[:, 1:] |= tile[:, 1:] != tile[:, :-1]
    edge[1:] |= tile[1:] != tile[:-1]
    inner = ndimage.distance_transform_edt(~edge).astype(np.float32)
    inner += 0.35 * smooth_noise(*tile.shape[::-1], 5, seed)
    y, x = np.mgrid[: tile.shape[0], : tile.shape[1]].astype(np.float32) / SCALE
    tilt = rng.normal(0, 0.020, (len(seeds), 2))
    slope = (x - seeds[tile, 0]) * tilt[tile, 0] + (y - seeds[tile, 1]) * tilt[tile, 1]
    dy, dx = np.gradient(blur(np.minimum(inner, 5.0), 0.8))
    light = 1 + slope + 0.20 * (dx + dy) + 0.04 * fbm(*tile.shape[::-1], 16, seed + 3, 2)
    glass = np.clip(colour, 0.02, 1.1)[tile] * light[..., None]
    grout = rgb("231d1b") * (1 + 0.12 * smooth_noise(*tile.shape[::-1], 6, seed + 4)[..., None])
    body = smoothstep(1.0, 2.3, inner)[..., None]
    return shrink(to_image(grout * (1 - body) + glass * body), SCALE)
