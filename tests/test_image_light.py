"""Colours that PNG files describe by numbers, against the formulas of the standards."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from vggapps.image import open_picture

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
RAMP = np.linspace(0, 255, 16).round().astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(values: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def iccp(icc: bytes) -> bytes:
    return chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc))


def png(pixels: np.ndarray, *chunks: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()[:33] + b"".join(chunks) + file.getvalue()[33:]


def read(pixels: np.ndarray, *chunks: bytes) -> np.ndarray:
    return open_picture(png(pixels, *chunks)).rgb[0].permute(1, 2, 0).numpy()


def grey(*chunks: bytes) -> np.ndarray:
    """What becomes of a ramp of grey in RGB, in levels of 255."""
    return read(np.stack([RAMP] * 2)[..., None].repeat(3, -1), *chunks)[0, :, 0] * 255


def srgb(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def linear(coded: np.ndarray) -> np.ndarray:
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 0.3])
def test_gamma_is_applied(gamma):
    assert np.allclose(grey(gama(gamma)), srgb((RAMP / 255) ** (1 / gamma)) * 255, atol=0.01)


@pytest.mark.parametrize("chunks", [(), (gama(0.45455),), (gama(0.4545), chrm(SRGB)), (cicp(1, 13),)])
def test_what_says_srgb_changes_nothing(chunks):
    assert np.allclose(grey(*chunks), RAMP, atol=1e-3)


def test_gamma_of_grey_palette_and_16_bit_pictures_is_applied():
    expected = srgb(RAMP / 255) * 255
    flat = np.stack([RAMP] * 2)
    assert np.allclose(read(flat, gama(1.0))[0, :, 0] * 255, expected, atol=0.01)
    palette = Image.fromarray(flat).convert("P")
    file = io.BytesIO()
    palette.save(file, "PNG")
    data = file.getvalue()[:33] + gama(1.0) + file.getvalue()[33:]
    assert np.allclose(open_picture(data).rgb[0, 0, 0].numpy() * 255, expected, atol=0.01)
    deep = np.stack([RAMP] * 2).astype(np.uint16) * 257
    assert np.allclose(read(deep, gama(1.0))[0, :, 0] * 255, expected, atol=0.01)


def test_gamma_leaves_transparency_alone():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0] = (128, 128, 128, 255)
    pixels[1] = (128, 128, 128, 51)
    picture = open_picture(png(pixels, gama(1.0)))
    assert np.allclose(picture.alpha[0, 0, :, 0], [1, 0.2])
    assert np.allclose(picture.rgb[0, 0], srgb(np.array(128 / 255)), atol=1e-4)


def primaries_to_xyz(values: tuple[float, ...]) -> np.ndarray:
    """SMPTE RP 177-1993, 3.3."""
    xyz = [np.array([x / y, 1, (1 - x - y) / y]) for x, y in zip(values[::2], values[1::2], strict=True)]
    columns = np.stack(xyz[1:], 1)
    return columns * np.linalg.solve(columns, xyz[0])


@pytest.mark.parametrize("chunks", [(gama(0.45455), chrm(P3)), (chrm(P3),), (cicp(12, 13),)])
def test_primary_colours_are_converted(chunks):
    pixels = np.random.default_rng(0).integers(60, 200, (4, 4, 3), np.uint8)
    light = linear(pixels / 255) @ (np.linalg.inv(primaries_to_xyz(SRGB)) @ primaries_to_xyz(P3)).T
    assert np.allclose(read(pixels, *chunks), srgb(light), atol=1e-3)


def test_another_white_stays_white():
    d50 = (0.3457, 0.3585, *SRGB[2:])
    assert np.allclose(grey(chrm(d50)), RAMP, atol=0.05)


def bt709(coded: np.ndarray) -> np.ndarray:
    """BT.709-6, 1.2, the other way round."""
    return np.where(coded < 0.081, coded / 4.5, ((coded + 0.099) / 1.099) ** (1 / 0.45))


@pytest.mark.parametrize(
    ("transfer", "curve"),
    [(8, lambda v: v), (1, bt709), (14, bt709), (4, lambda v: v**2.2), (5, lambda v: v**2.8)],
)
def test_transfer_characteristics_are_applied(transfer, curve):
    assert np.allclose(grey(cicp(1, transfer)), srgb(curve(RAMP / 255)) * 255, atol=0.05)


def test_narrow_range_is_widened():
    expected = ((RAMP.astype(float) - 16) / 219).clip(0, 1) * 255
    assert np.allclose(grey(cicp(1, 13, full=0)), expected, atol=0.01)


def pq(nits: np.ndarray) -> np.ndarray:
    """BT.2100-2, table 4, the inverse EOTF."""
    y = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(scene: np.ndarray) -> np.ndarray:
    """BT.2100-2, table 5, the OETF."""
    bright = 0.17883277 * np.log((12 * scene - 0.28466892).clip(0.1)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def deep(coded: np.ndarray) -> np.ndarray:
    return np.stack([np.rint(coded * 65535).astype(np.uint16)] * 2)


def test_pq_is_the_same_light_below_its_highlights_and_never_lost():
    nits = np.array([0.0, 1, 5, 20, 50, 90, 150, 203, 400, 700, 1000, 4000])
    picture = open_picture(png(deep(pq(nits)), cicp(1, 16)))
    assert ["HDR" in note for note in picture.notes] == [True]
    seen = picture.rgb[0, 0, 0].numpy()
    assert np.allclose(seen[:6], srgb(nits[:6] / 203), atol=2e-3)  # 203 cd/m² is white: BT.2408
    assert (np.diff(seen[:-1]) > 0).all()
    assert np.allclose(seen[-2:], 1, atol=1e-3)


def test_hlg_shows_the_same_light_as_pq():
    scene = np.array([0.0, 0.001, 0.01, 0.05, 0.1, 0.3, 0.6, 1])
    shown = 1000 * scene**1.2  # of a display of 1000 cd/m²: BT.2100-2, table 5
    by_hlg = open_picture(png(deep(hlg(scene)), cicp(1, 18)))
    by_pq = open_picture(png(deep(pq(shown)), cicp(1, 16)))
    assert np.allclose(by_hlg.rgb, by_pq.rgb, atol=2e-3)
    assert by_hlg.notes == by_pq.notes


def test_hdr_keeps_its_hues():
    colours = np.full((2, 4, 3), (190, 150, 120), np.uint8)
    light = linear(read(colours, cicp(1, 16))[0, 0])
    expected = np.array([10_000 * (max(e - 0.8359375, 0) / (18.8515625 - 18.6875 * e)) ** (1 / 0.1593017578125)
                         for e in (np.array([190, 150, 120]) / 255) ** (1 / 78.84375)])  # fmt: skip
    assert np.allclose(light / light.max(), expected / expected.max(), atol=5e-3)


def test_the_order_of_precedence_is_that_of_the_specification():
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = swapped.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    pixels = np.full((2, 2, 3), (200, 60, 90), np.uint8)
    same, exchanged = np.array([200, 60, 90]), np.array([60, 200, 90])
    chunks = [gama(1.0), chrm(P3), chunk(b"sRGB", b"\0"), iccp(swapped), cicp(1, 13)]
    assert abs(read(pixels, *chunks)[0, 0] * 255 - same).max() < 0.01  # cICP
    assert abs(read(pixels, *chunks[:4])[0, 0] * 255 - exchanged).max() < 2  # iCCP
    assert abs(read(pixels, *chunks[:3])[0, 0] * 255 - same).max() < 0.01  # sRGB
    assert abs(read(pixels, *chunks[:2])[0, 0] * 255 - same).max() > 20


@pytest.mark.parametrize("chunks", [(cicp(1, 9),), (cicp(77, 13),), (cicp(1, 13, matrix=9),), (gama(0),),
                                    (chrm((0.0,) * 8),), (chrm((0.3, 0.3) * 4),)])  # fmt: skip
def test_what_is_unknown_or_senseless_is_said(chunks):
    picture = open_picture(png(np.stack([RAMP] * 2), *chunks))
    assert len(picture.notes) == 1
    assert np.allclose(picture.rgb[0, 0, 0].numpy() * 255, RAMP, atol=1e-3)


@pytest.mark.skipif(".avif" not in Image.registered_extensions(), reason="this Pillow has no AVIF")
def test_avif_in_hdr_and_in_other_primaries_is_read_as_png_is():
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (150, 120, 100)).save(file, "AVIF")
    plain = file.getvalue()
    at = plain.index(b"colrnclx") + 8
    assert open_picture(plain).notes == ()
    for primaries, transfer in [(9, 16), (9, 18), (12, 13)]:
        data = plain[:at] + bytes([0, primaries, 0, transfer]) + plain[at + 4 :]
        with Image.open(io.BytesIO(data)) as image:
            levels = np.asarray(image)
        picture, same = open_picture(data), open_picture(png(levels, cicp(primaries, transfer)))
        assert np.allclose(picture.rgb, same.rgb)
        assert picture.notes == same.notes
        assert not np.allclose(picture.rgb, open_picture(plain).rgb, atol=0.01)
