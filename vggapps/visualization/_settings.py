"""What one can say about a visualization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vggapps.settings import setting
from vggapps.vgg._settings import ClassSettings, NetworkSettings

Parameterization = Literal["auto", "fourier", "maco", "laplacian", "pixel", "cppn"]

REPORTED = 256  # pixels a side of what is made for the page of exemplars
PLACE = 96  # pixels a side of what a place of a picture means
CELL = 80  # pixels a side of an atlas's cells


@dataclass(frozen=True)
class VisualizeSettings(NetworkSettings, ClassSettings):
    """Everything that decides how a visualization looks."""

    size: int | None = setting(
        None, minimum=16, maximum=4096, help="Side in pixels; by default what the layer can see."
    )
    steps: int = setting(
        64, minimum=1, maximum=100000, help="Steps; twice as many go further, and make colours glaring."
    )
    pictures: int = setting(
        1, minimum=1, maximum=64, help="So many of one objective, side by side; diversity(LAYER) tells them apart."
    )
    parameterization: Parameterization = setting(
        "auto",
        help="How the picture is written down; auto is maco, photographs' frequencies, for classes, else fourier.",
    )
    start: str | None = setting(None, metavar="IMAGE", help="Start from the middle of a picture, not from noise.")
    jitter: float | None = setting(
        None, minimum=0, maximum=512, help="Pixels that the view moves about; by default the layer's stride."
    )
    scale: float = setting(1.1, minimum=1, maximum=2, help="The view is enlarged and shrunk by up to this.")
    rotate: float = setting(8.0, minimum=0, maximum=180, help="Degrees that the view turns, to each side.")
    tv_weight: float = setting(0.0, minimum=0, help="Weight of total variation, which smooths.")
    spectrum: str | None = setting(
        None, metavar="DIR", help="For maco: take the frequencies of the pictures in this folder."
    )
    seed: int = setting(0, minimum=0, help="Of the noise and the movements; the same seed gives the same file.")
