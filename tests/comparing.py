"""Pictures whose likeness is known by a formula, and what ``vggapps compare`` prints of them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Ran


def flat(name: str, level: int, size: tuple[int, int] = (48, 36)) -> None:
    Image.new("RGB", size, (level,) * 3).save(name)


def decibels(difference: int) -> float:
    """PSNR of flat pictures that are so many levels of 255 apart: 10 log10(1 / (d / 255)^2)."""
    return 20 * math.log10(255 / difference)


def likeness(x: int, y: int) -> float:
    """SSIM of flat pictures: of Wang 2004, eq. 13, the means alone are left."""
    return (2 * x * y + 2.55**2) / (x * x + y * y + 2.55**2)


def objects(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in ran.out.splitlines()]
