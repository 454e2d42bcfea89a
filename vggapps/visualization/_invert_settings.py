"""What one can say about an inversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.settings import setting
from vggapps.vgg._settings import NetworkSettings

Method = Literal["fourier", "mv2016", "mv2014"]
STEPS: dict[Method, int] = {"fourier": 100, "mv2016": 350, "mv2014": 400}


@dataclass(frozen=True)
class InvertSettings(NetworkSettings):
    """Everything that decides how an inversion looks, but for the picture and the layer."""

    method: Method = setting(
        "fourier", help="fourier is the best and quickest; mv2014 and mv2016 are Mahendran and Vedaldi's."
    )
    size: int = setting(224, minimum=32, maximum=4096, help="Longer side of the result, in pixels.")
    steps: int | None = setting(
        None, minimum=1, maximum=100000, help="Steps; by default 100, and 350 and 400 for mv2016 and mv2014."
    )
    seed: int = setting(0, minimum=0, help="Of the noise and the movements; the same seed gives the same file.")
