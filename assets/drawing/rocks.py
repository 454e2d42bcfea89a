"""Broken stone by the sea, and the surf at its foot."""

import numpy as np
from scipy import spatial

from drawing.colour import Array, Point, blur, mix, palette, pixels, polygon, ramp, rgb, smoothstep, spline
from drawing.nature import HEIGHT, SCALE, WIDTH
from drawing.noise import even, fbm


def rock(image: Array, outline: list[Point], seed: int, size: float, wet: float) -> Array:
    """A mass of broken stone: facets of many sizes, each lit by its own slant, darker and wet at the foot."""
    s = SCALE
    x, y = pixels(WIDTH, HEIGHT)
    edge = spline([(a * s, b * s) for a, b in outline], 400)
    jag = np.random.default_rng(seed).normal(0, 1, (400, 2))
    edge = edge + blur(jag, (1.5, 0)) * 5 * s
    inside = polygon(WIDTH, HEIGHT, edge, 1)
    top, left = int(max(edge[:, 1].min() - 4, 0)), int(max(edge[:, 0].min() - 4, 0))
    low, right = int(min(edge[:, 1].max() + 4, HEIGHT)), int(min(edge[:, 0].max() + 4, WIDTH))
    box = np.s_[top:low, left:right]
    bx, by = x[box], y[box]
    warp = fbm(right - left, low - top, 60 * s, seed, 4)
    tone = np.zeros_like(bx)
    crack = np.zeros_like(bx)
    for k, cell in enumerate((size, size / 2.3, size / 5)):
        rng = np.random.default_rng(seed + k)
        count = int((right - left) * (low - top) / (cell * s) ** 2 * 1.6) + 8
        seeds = np.stack([rng.uniform(left, right, count), rng.uniform(top, low, count) * 1.5], axis=-1)
        # Beds of stone dip to the right: shear before looking for the nearest block.
        points = np.stack([(bx + 4 * s * warp).ravel(), (by * 1.5 + 0.25 * bx + 4 * s * warp).ravel()], axis=-1)
        seeds[:, 1] += 0.25 * seeds[:, 0]
        far, near = spatial.cKDTree(seeds).query(points, k=2)
        offset = (points - seeds[near[:, 0]]) / (cell * s)
        slant = rng.normal(0, 1, (count, 2))[near[:, 0]]
        facet = rng.normal(0, 0.9, count)[near[:, 0]] + (offset * (0.5 + 0.3 * slant)).sum(-1) * (1.0, -0.6)[k % 2]
        tone += (0.62**k) * facet.reshape(bx.shape) * 0.24
        gap = (far[:, 1] - far[:, 0]).reshape(bx.shape) / (cell * s)
        crack = np.maximum(crack, (0.75 - 0.2 * k) * smoothstep(0.10, 0.0, gap))
    relief = fbm(right - left, low - top, 16 * s, seed + 9, 5, 0.65)
    dy, dx = np.gradient(relief)
    tone += 0.52 + 0.42 * (dx - 0.6 * dy) + 0.16 * (bx - (left + right) / 2) / (right - left)
    colour = ramp(np.clip(tone, 0, 1), palette("231f33 453a4c 7a5f5c b98a68 ecbb80 ffe0a8"))
    colour = mix(colour, rgb("1d1a2a"), crack * 0.6)
    foot = smoothstep(wet * s - 46 * s, wet * s, by + 10 * s * warp)
    colour = mix(colour, colour * np.array([0.42, 0.45, 0.5], np.float32), foot)
    out = image.copy()
    out[box] = mix(image[box], colour, inside[box])
    return out


def foam(image: Array, line: list[Point], seed: int, wide: float) -> Array:
    """Surf along the foot of the rocks, and their dark reflection before it."""
    s = SCALE
    x, y = pixels(WIDTH, HEIGHT)
    knots = np.array(line) * s
    shore = np.interp(x[0], knots[:, 0], knots[:, 1])[None] + 4 * s * fbm(WIDTH, 4, (30 * s, 4), seed, 4)[1][None]
    depth = (y - shore) / s
    # The surf dies out beyond both ends of the rocks.
    first, last = knots[0, 0], knots[-1, 0]
    ends = smoothstep(first - 30 * s, first + 25 * s, x) * smoothstep(last + 30 * s, last - 25 * s, x)
    near = smoothstep(-3, 1, depth) * ends
    image = mix(image, rgb("2a3350"), near * np.exp(-np.clip(depth, 0, None) / (wide * 2.2)) * 0.62)
    lace = even(fbm(WIDTH, HEIGHT, (34 * s, 7 * s), seed + 1, 5, 0.6))
    band = np.exp(-(((depth - 1) / (wide * 0.30)) ** 2)) + 0.60 * np.exp(-(((depth - wide) / (wide * 0.22)) ** 2))
    white = smoothstep(0.68, 0.92, lace * 0.5 + np.clip(band, 0, 1) * 0.66) * smoothstep(-8, -2, depth) * ends
    return mix(image, ramp(lace, palette("d8b8b0 ffe8c8 fff6e4")), white * 0.92)
