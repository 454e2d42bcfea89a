"""Conversion to sRGB from colour spaces given without a profile: cICP, gAMA and cHRM in PNG, nclx in AVIF.

Their precedence follows the PNG specification, third edition (W3C 2025, 4.3 and 11.3.2): cICP, iCCP, sRGB, then gAMA
and cHRM. The numbers of cICP are those of ITU-T H.273 (2023), tables 2 and 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]  # of floating point numbers
Curve = Callable[[Samples], Samples]

# x, y of white, red, green and blue.
_D65 = (0.3127, 0.3290)
_SRGB = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_PRIMARIES = {
    1: _SRGB,  # BT.709
    5: (*_D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),  # BT.470 BG, PAL
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # SMPTE 170M, NTSC
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # SMPTE 240M
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020 and BT.2100
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # SMPTE RP 431-2, DCI P3
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # SMPTE EG 432-1, Display P3
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_HEADER = 1 << 16  # bytes searched for the colour information of AVIF and HEIC

_WHITE = 203.0  # cd/m² of reference white in HDR: ITU-R BT.2408
_PEAK = 1000.0  # cd/m² of the peak: HLG's nominal peak (BT.2100), and what most PQ is mastered for

_SAME = 0.05  # relative tolerance of a gamma: libpng's PNG_GAMMA_THRESHOLD
_NEAR = 0.002  # absolute tolerance of a chromaticity


def coding_of(info: Mapping[Any, Any]) -> tuple[Curve | None, bool, str]:
    """The conversion to sRGB that the ``Image.info`` of a PNG asks for.

    Returns:
        A function of samples in [0, 1] (h, w, 1 or 3), None for sRGB; whether an embedded colour profile applies; and a
        note (may be empty).
    """
    if (cicp := info.get("cicp")) is not None:
        primaries, transfer, matrix, full = cicp
        curve, known = _CURVES.get(transfer), _PRIMARIES.get(primaries)
        if curve is not None and known is not None and matrix == 0:
            note = _HDR if transfer in (16, 18) else ""
            if (primaries, transfer, full) == (1, 13, 1):
                return None, False, note
            return _to_srgb(_narrow(curve) if full == 0 else curve, known), False, note
        if not info.get("icc_profile"):
            return None, False, f"its colour coding (cICP {primaries}, {transfer}, {matrix}) is unknown: read as sRGB"
    if info.get("icc_profile") or info.get("srgb") is not None:
        return None, True, ""
    gamma, primaries = info.get("gamma", 1 / 2.2), info.get("chromaticity", _SRGB)
    if not 0.1 <= gamma <= 10 or not _is_valid(primaries):
        return None, True, "its gamma or primary colours are invalid and are ignored"
    usual = abs(gamma * 2.2 - 1) <= _SAME
    if usual and np.allclose(primaries, _SRGB, atol=_NEAR):
        return None, True, ""
    return _to_srgb(srgb_to_linear if usual else _power(1 / gamma), primaries), True, ""


def cicp_of_heif(stream: BinaryIO) -> tuple[int, int, int, int] | None:
    """The cICP numbers of an AVIF or HEIC file (ISO/IEC 14496-12, 12.1.5); None for SDR in BT.709 primaries.

    The decoder has already applied the matrix and range. SDR transfer functions are treated as sRGB's, as in browsers.
    """
    stream.seek(0)
    found = re.search(rb"colrnclx\0(.)\0(.)", stream.read(_HEADER), re.DOTALL)
    if found is None:
        return None
    primaries, transfer = found[1][0], found[2][0] if found[2][0] in (16, 18) else 13
    return None if (primaries in (1, 2) and transfer == 13) else (primaries, transfer, 0, 1)


def srgb_to_linear(coded: Samples) -> Samples:
    """IEC 61966-2-1."""
    return _piecewise(1.055, 0.0031308, 12.92, 1 / 2.4)(coded)


def linear_to_srgb(light: Samples) -> Samples:
    """IEC 61966-2-1; values are clipped to [0, 1]."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)


def _to_srgb(curve: Curve, primaries: tuple[float, ...]) -> Curve:
    matrix = None if np.allclose(primaries, _SRGB, atol=_NEAR) else _between(primaries, _SRGB)

    def convert(samples: Samples) -> Samples:
        light = curve(samples)
        if matrix is not None and light.shape[-1] == 3:  # grey is the same in all primaries
            light = light @ matrix.T
        return linear_to_srgb(light).astype(np.float32)

    return convert


def _piecewise(scale: float, start: float, slope: float, power: float) -> Curve:
    """The inverse of `scale * light ** power - (scale - 1)`, which is `slope * light` up to `start`."""
    return lambda coded: np.where(
        coded < slope * start, coded / slope, ((coded + scale - 1) / scale).clip(0) ** np.float32(1 / power)
    )


def _power(exponent: float) -> Curve:
    return lambda coded: coded.clip(0) ** np.float32(exponent)


def _pq(coded: Samples) -> Samples:
    """SMPTE ST 2084 (BT.2100, table 4): to cd/m², then tone-mapped."""
    return _tone_mapped(_pq_to_light(coded))


def _hlg(coded: Samples) -> Samples:
    """BT.2100, table 5, for a display of 1000 cd/m²: scene light, then the system gamma of 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    weights = np.array([0.2627, 0.6780, 0.0593]) if coded.shape[-1] == 3 else np.ones(1)
    luminance = (scene @ weights)[..., None]
    return _tone_mapped(_PEAK * scene * luminance.clip(1e-9) ** 0.2)


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def _pq_to_light(coded: Samples) -> Samples:
    root = coded.clip(0, 1) ** (1 / _M2)
    return 10_000 * ((root - _C1).clip(0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _light_to_pq(light: Samples) -> Samples:
    power = (light / 10_000).clip(0, 1) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _tone_mapped(light: Samples) -> Samples:
    """Tone-map light in cd/m² to [0, 1], where 1 is reference white: ITU-R BT.2390-10, 5.4.1 (EETF).

    The curve is applied to the brightest channel (identity up to the knee, then a spline to white); the others keep
    their ratio to it, which keeps the hue.
    """
    brightest = light.max(-1, keepdims=True).clip(1e-6)
    peak, white = _light_to_pq(np.array([_PEAK, _WHITE]))
    most = white / peak
    knee = 1.5 * most - 0.5
    coded = (_light_to_pq(brightest) / peak).clip(0, 1)
    t = (coded - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    mapped = _pq_to_light(np.where(coded < knee, coded, spline) * peak)
    seen: Samples = light * (mapped / brightest) / _WHITE
    return seen


_HDR = "it is HDR: its highlights are compressed into the range of sRGB"
_BT709 = _piecewise(1.099, 0.018, 4.5, 0.45)
_CURVES: dict[int, Curve] = {
    1: _BT709,
    4: _power(2.2),
    5: _power(2.8),
    6: _BT709,
    7: _piecewise(1.1115, 0.0228, 4.0, 0.45),  # SMPTE 240M
    8: lambda coded: coded,
    13: srgb_to_linear,
    14: _BT709,  # BT.2020
    15: _BT709,
    16: _pq,
    18: _hlg,
}


def _narrow(curve: Curve) -> Curve:
    """For narrow-range samples, where 16 of 255 is black and 235 is white (H.273, 8.3)."""
    return lambda coded: curve(((coded * 255 - 16) / 219).clip(0, 1))


def _is_valid(primaries: tuple[float, ...]) -> bool:
    return len(primaries) == 8 and min(primaries[1::2]) > 0 and np.linalg.cond(_columns(primaries[2:])) < 1e4


def _columns(pairs: tuple[float, ...]) -> NDArray[np.float64]:
    """XYZ of chromaticities at Y = 1, as columns."""
    return np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in zip(pairs[::2], pairs[1::2], strict=True)]).T


def _between(source: tuple[float, ...], target: tuple[float, ...]) -> NDArray[np.float64]:
    """The matrix from one set of primaries to another, with Bradford chromatic adaptation."""

    def to_xyz(primaries: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        white, columns = _columns(primaries[:2]), _columns(primaries[2:])
        return columns * np.linalg.solve(columns, white)[:, 0], white

    (from_source, source_white), (from_target, target_white) = to_xyz(source), to_xyz(target)
    gains = (_BRADFORD @ target_white)[:, 0] / (_BRADFORD @ source_white)[:, 0]
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    matrix: NDArray[np.float64] = np.linalg.inv(from_target) @ adapted @ from_source
    return matrix
