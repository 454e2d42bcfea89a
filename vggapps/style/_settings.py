"""Settings of a stylized picture."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from vggapps.errors import SettingsError, argument
from vggapps.settings import setting
from vggapps.vgg._settings import NetworkSettings

SMALLEST, LARGEST = 32, 32768  # longer side of the result, in pixels
_FACTOR = re.compile(r"(\d+\.?\d*|\.\d+)x")

# The distances of moments in vggapps.losses.DISTANCES, which a test compares: the command line imports no torch.
StyleLossName = Literal[
    "mean-covariance", "gram", "mean-std", "gram-gatys", "gram-positions", "gram-johnson", "gram-johnson-paper",
    "gram-raw", "gram-scaled", "adain", "mean-covariance-l1", "wasserstein",
]  # fmt: skip


@dataclass(frozen=True)
class StylizeSettings(NetworkSettings):
    """Everything that decides how a stylized picture looks.

    The losses are relative to their targets, so the weights mean the same at any size, layer and network; 1 is what
    looks good for each of them.
    """

    size: int | str = setting(
        512,
        minimum=SMALLEST,
        maximum=LARGEST,
        metavar="PIXELS|original|FACTORx",
        help="Longer side of the result: in pixels, or the photo's own, original, or so many times that, 2x or 0.5x.",
    )
    strength: float = setting(
        0.5, minimum=0, maximum=1, help="From 0, the photo, to 1, all style; the one knob for most people."
    )
    steps: int = setting(
        120, minimum=1, maximum=100000, help="Steps over all scales: 60 for a draft; more than 120 buy little."
    )
    style_weight: float = setting(1.0, minimum=0, help="Weight of the style loss.")
    content_weight: float = setting(1.0, minimum=0, help="Weight of the content loss.")
    tv_weight: float = setting(1.0, minimum=0, help="Weight of total variation, which smooths grain.")
    style_loss: StyleLossName = setting(
        "mean-covariance",
        help="What of the style's features is matched; for others than the first three adapt the style weight.",
    )
    content_layers: tuple[str, ...] = setting(("relu4_2",), metavar="LAYER,...", help="Where content is compared.")
    style_layers: tuple[str, ...] = setting(
        ("relu1_1:1.6", "relu2_1:1.3", "relu3_1:1", "relu4_1:0.7", "relu5_1:0.4"),
        metavar="LAYER[:WEIGHT],...",
        help="Where style is matched; of the weights only the ratios count.",
    )
    style_size: float = setting(
        1.0,
        minimum=0.05,
        maximum=20,
        help="Size of the style picture relative to the result: 2 gives larger strokes.",
    )
    colors: Literal["style", "content"] = setting("style", help="Whose colours the result has.")
    init: str = setting("content", metavar="content|noise|FILE", files=True, help="What to start from.")
    optimizer: Literal["lbfgs", "adam"] = setting("lbfgs", help="L-BFGS is better and quicker here.")
    seed: int = setting(0, minimum=0, help="Of the random numbers, if the start is noise.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.style_layer_weights  # so that a weight which is no number is told now
        if isinstance(self.size, str) and self.size != "original" and not _FACTOR.fullmatch(self.size):
            raise SettingsError(
                f"{argument('size')} is {self.size!r}", "give pixels (512), original, or a factor (2x, 0.5x)"
            )

    def longer_side(self, photo: int) -> int:
        """``size`` in pixels, for a photo whose longer side has ``photo`` pixels.

        Raises:
            SettingsError: a size relative to the photo's comes to more or less than can be made.
        """
        if not isinstance(self.size, str):
            return self.size
        factor = 1.0 if self.size == "original" else float(self.size.removesuffix("x"))
        wanted = factor * photo
        if not SMALLEST - 0.5 <= wanted < LARGEST + 0.5:
            raise SettingsError(
                f"{argument('size', self.size)} of a photo of {photo} px comes to {wanted:.0f} px",
                f"it must be at least {SMALLEST} and at most {LARGEST}",
            )
        return math.floor(wanted + 0.5)

    @property
    def style_layer_weights(self) -> dict[str, float]:
        """``style_layers`` as layer and weight, 1 where none is given."""
        weights = {}
        for word in self.style_layers:
            layer, _, weight = word.partition(":")
            try:
                weights[layer] = float(weight or 1)
            except ValueError:
                raise SettingsError(f"{argument('style_layers')} has {word!r}", "write LAYER or LAYER:WEIGHT") from None
            if not 0 <= weights[layer] < math.inf:
                raise SettingsError(f"{argument('style_layers')} has {word!r}", "a weight is a number of at least 0")
        if not weights or not 0 < sum(weights.values()) < math.inf:
            raise SettingsError(
                f"{argument('style_layers')} needs at least one layer that counts", "for example relu1_1:2,relu3_1"
            )
        return weights

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that are looked at."""
        return (*self.style_layer_weights, *self.content_layers)
