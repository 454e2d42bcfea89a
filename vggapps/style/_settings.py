"""Settings of a stylized picture."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from vggapps.errors import SettingsError, argument
from vggapps.settings import setting
from vggapps.style._schedule import Quality, split_steps
from vggapps.vgg._settings import NetworkSettings

SMALLEST, LARGEST = 32, 32768  # longer side of the result, in pixels
_FACTOR = re.compile(r"(\d+\.?\d*|\.\d+)x")

# The distances of moments in vggapps.losses.DISTANCES (a test compares them), without importing torch.
StyleLossName = Literal[
    "mean-covariance", "gram", "mean-std", "gram-gatys", "gram-positions", "gram-johnson", "gram-johnson-paper",
    "gram-raw", "gram-scaled", "adain", "mean-covariance-l1", "wasserstein",
]  # fmt: skip


@dataclass(frozen=True)
class StylizeSettings(NetworkSettings):
    """Settings of style transfer.

    The losses are relative to their targets, so the weights mean the same at any size, layer and network; 1 is a good
    value for each.
    """

    size: int | str = setting(
        512,
        minimum=SMALLEST,
        maximum=LARGEST,
        metavar="PIXELS|original|FACTORx",
        help="Longer side of the result: in pixels, original for that of the photo, or a multiple of it, 2x or 0.5x.",
    )
    strength: float = setting(
        0.5, minimum=0, maximum=1, help="From 0, only the photo, to 1, only style; the main control."
    )
    quality: Quality = setting(
        "normal", help="How far the painting is worked out: draft takes a third of the time of normal, fine triple."
    )
    steps: int | None = setting(
        None, minimum=1, maximum=100000, help="Steps over all scales, instead of those of the quality."
    )
    style_weight: float = setting(1.0, minimum=0, help="Weight of the style loss.")
    content_weight: float = setting(1.0, minimum=0, help="Weight of the content loss.")
    tv_weight: float = setting(1.0, minimum=0, help="Weight of total variation, which smooths grain.")
    style_loss: StyleLossName = setting(
        "mean-covariance",
        help="Distance between style features; all but the first three need another style weight.",
    )
    content_layers: tuple[str, ...] = setting(("relu4_2",), metavar="LAYER,...", help="Layers of the content loss.")
    style_layers: tuple[str, ...] = setting(
        ("relu1_1:1.6", "relu2_1:1.3", "relu3_1:1", "relu4_1:0.7", "relu5_1:0.4"),
        metavar="LAYER[:WEIGHT],...",
        help="Layers of the style loss; only the ratios of the weights matter.",
    )
    style_size: float = setting(
        1.0,
        minimum=0.05,
        maximum=20,
        help="Size of the style picture relative to the result: 2 gives larger strokes.",
    )
    colors: Literal["style", "content"] = setting("style", help="Use the colours of the style or of the photo.")
    init: str = setting("content", metavar="content|noise|FILE", files=True, help="The initial picture.")
    optimizer: Literal["lbfgs", "adam"] = setting("lbfgs", help="L-BFGS is better and faster here.")
    seed: int = setting(0, minimum=0, help="Seed of the noise, if the initial picture is noise.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.style_layer_weights  # raises an error for an invalid weight
        if isinstance(self.size, str) and self.size != "original" and not _FACTOR.fullmatch(self.size):
            raise SettingsError(
                f"{argument('size')} is {self.size!r}", "use pixels (512), original, or a factor (2x, 0.5x)"
            )

    def longer_side(self, photo: int) -> int:
        """``size`` in pixels, for a photo with a longer side of ``photo`` pixels.

        Raises:
            SettingsError: a relative size gives too few or too many pixels.
        """
        if not isinstance(self.size, str):
            return self.size
        factor = 1.0 if self.size == "original" else float(self.size.removesuffix("x"))
        pixels = factor * photo
        if not SMALLEST - 0.5 <= pixels < LARGEST + 0.5:
            raise SettingsError(
                f"{argument('size', self.size)} of a photo of {photo} px gives {pixels:.0f} px",
                f"it must be at least {SMALLEST} and at most {LARGEST}",
            )
        return math.floor(pixels + 0.5)

    def steps_at(self, longer_side: int) -> list[int]:
        """Steps at each scale of a result, coarse to fine."""
        return split_steps(self.quality, self.steps, longer_side)

    @property
    def style_layer_weights(self) -> dict[str, float]:
        """``style_layers`` as weights by layer, 1 by default."""
        weights = {}
        for word in self.style_layers:
            layer, _, weight = word.partition(":")
            try:
                weights[layer] = float(weight or 1)
            except ValueError:
                raise SettingsError(f"{argument('style_layers')} has {word!r}", "use LAYER or LAYER:WEIGHT") from None
            if not 0 <= weights[layer] < math.inf:
                raise SettingsError(f"{argument('style_layers')} has {word!r}", "a weight is a number of at least 0")
        if not weights or not 0 < sum(weights.values()) < math.inf:
            raise SettingsError(
                f"{argument('style_layers')} needs a layer with a weight above 0", "for example relu1_1:2,relu3_1"
            )
        return weights

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of both losses."""
        return (*self.style_layer_weights, *self.content_layers)
