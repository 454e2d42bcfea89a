"""What one can say about a dream."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps.settings import setting
from vggapps.vgg._settings import ClassSettings, NetworkSettings


@dataclass(frozen=True)
class DreamSettings(NetworkSettings, ClassSettings):
    """Everything that decides how a dream looks, but for what is dreamt of."""

    size: int = setting(768, minimum=32, maximum=32768, help="Longer side of the result, in pixels.")
    strength: float = setting(1.0, minimum=0, maximum=20, help="How far each step goes; the one knob for most people.")
    steps: int = setting(10, minimum=1, maximum=10000, help="Steps at each octave.")
    octaves: int = setting(4, minimum=1, maximum=20, help="Sizes, from small to large: more give larger creatures.")
    octave_scale: float = setting(1.4, minimum=1.05, maximum=4, help="From one octave to the next.")
    jitter: int = setting(32, minimum=0, maximum=512, help="Pixels that the view moves about.")
    guide: str | None = setting(
        None, metavar="IMAGE", help="Dream of what is in this picture, as the objective's layer sees it."
    )
    seed: int = setting(0, minimum=0, help="Of the movements; the same seed gives the same file.")
