"""Settings of the training of a painter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from vggapps.settings import check, setting
from vggapps.vgg._plan import Device, Dtype
from vggapps.vgg._settings import device_setting

_SPEED = "Speed and memory"
_training = partial(setting, panel="The training")
_painting = partial(setting, panel="The pictures")


@dataclass(frozen=True)
class PainterSettings:
    """Settings of :func:`train_painter`.

    The loss is that of :func:`~vggapps.style.stylize`, and the weights mean the same.
    """

    steps: int = _training(8000, minimum=1, metavar="N", help="Steps of the training.")
    batch: int = _training(2, minimum=1, metavar="N", help="Parts of photos in a batch.")
    crop: int = _training(192, minimum=64, maximum=1024, metavar="PIXELS", help="Side of these parts.")
    learning_rate: float = _training(2e-3, minimum=0, metavar="RATE", help="The highest learning rate, of AdamW.")
    seed: int = _training(0, minimum=0, metavar="N", help="Seed of weights, parts and styles.")

    size: int = _painting(
        512, minimum=128, maximum=4096, metavar="PIXELS",
        help="Longer side of the pictures that are painted later, which gives the size of the strokes.",
    )  # fmt: skip
    style_size: float = _painting(
        1.0, minimum=0.05, maximum=20, help="Size of the styles relative to the result: 2 gives larger strokes."
    )
    style_weight: float = _painting(1.0, minimum=0, help="Weight of the style loss.")
    content_weight: float = _painting(1.0, minimum=0, help="Weight of the content loss.")
    tv_weight: float = _painting(1.0, minimum=0, help="Weight of total variation, which smooths grain.")
    motion_weight: float = _painting(
        0.3, minimum=0, help="Weight of stability: what moves a little is painted in the same way."
    )

    backbone: str = setting("auto", metavar="NAME|FILE", help="The network of the loss.", panel=_SPEED)
    device: Device = device_setting(_SPEED)
    dtype: Dtype = setting(
        "auto", help="Dtype of convolutions; auto is bfloat16 if the device has instructions for it.", panel=_SPEED
    )
    workers: int = setting(0, minimum=0, maximum=256, metavar="N", help="Processes that read photos.", panel=_SPEED)

    def __post_init__(self) -> None:
        check(self)
