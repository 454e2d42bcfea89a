"""Settings of ``compare``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from vggapps.settings import check, setting
from vggapps.vgg._settings import device_setting

_setting = partial(setting, panel="Options")


@dataclass(frozen=True)
class CompareSettings:
    """How two pictures are compared."""

    metric: tuple[str, ...] | None = _setting(None, metavar="NAME,...", help="Metrics to compute.")
    size: int | None = _setting(None, minimum=1, metavar="SIDE", help="Scale both down first: longer side in pixels.")
    scale_to_a: bool = _setting(False, help="Scale B to the size of A if the sizes differ: bicubic, antialiased.")
    y_channel: bool = _setting(False, help="PSNR and SSIM of luma only (BT.601, 16 to 235), as in super-resolution.")
    crop_border: int = _setting(0, minimum=0, metavar="N", help="PSNR and SSIM without N pixels at each border.")
    device: str = device_setting("Options")

    def __post_init__(self) -> None:
        check(self)
