"""What one can say about visualizations, dreams, inversions, activations, exemplars and atlases."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from vggapps.errors import SettingsError
from vggapps.settings import setting
from vggapps.vgg._settings import ClassSettings, NetworkSettings

Parameterization = Literal["auto", "fourier", "maco", "laplacian", "pixel", "cppn"]
Method = Literal["fourier", "mv2016", "mv2014"]
STEPS: dict[Method, int] = {"fourier": 100, "mv2016": 350, "mv2014": 400}


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
    start: str | None = setting(
        None, metavar="IMAGE", files=True, help="Start from the middle of a picture, not from noise."
    )
    jitter: float | None = setting(
        None, minimum=0, maximum=512, help="Pixels that the view moves about; by default the layer's stride."
    )
    scale: float = setting(1.1, minimum=1, maximum=2, help="The view is enlarged and shrunk by up to this.")
    rotate: float = setting(8.0, minimum=0, maximum=180, help="Degrees that the view turns, to each side.")
    tv_weight: float = setting(0.0, minimum=0, help="Weight of total variation, which smooths.")
    spectrum: str | None = setting(
        None, metavar="DIR", files=True, help="For maco: take the frequencies of the pictures in this folder."
    )
    seed: int = setting(0, minimum=0, help="Of the noise and the movements; the same seed gives the same file.")


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
        None, metavar="IMAGE", files=True, help="Dream of what is in this picture, as the objective's layer sees it."
    )
    seed: int = setting(0, minimum=0, help="Of the movements; the same seed gives the same file.")


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


@dataclass(frozen=True)
class DrawnSettings(NetworkSettings):
    """How small pictures are made that show what activations mean."""

    size: int = setting(96, minimum=16, maximum=4096, metavar="SIDE", help="Side of each small picture, in pixels.")
    steps: int = setting(VisualizeSettings.steps, minimum=1, maximum=100000, help="Steps of each small picture.")
    seed: int = setting(0, minimum=0, help="Of the noise and the movements; the same seed gives the same file.")

    @property
    def drawing(self) -> VisualizeSettings:
        """The settings of one of them."""
        return VisualizeSettings(**{field.name: getattr(self, field.name) for field in fields(DrawnSettings)})


@dataclass(frozen=True)
class ActivationsSettings(DrawnSettings):
    """What is shown of a layer's activations."""

    layer: str = setting("relu4_3", metavar="NAME", help="Whose channels: conv4_3, relu5_1, ...")
    channels: int = setting(16, minimum=1, metavar="N", help="How many of the strongest.")
    scale: Literal["common", "own"] = setting(
        "common", help="What is yellow: the strongest activation of all maps, or of each."
    )
    grid: int = setting(0, minimum=0, metavar="N", help="Show what places mean, N a side at most; 8 is usual.")


@dataclass(frozen=True)
class AtlasSettings(DrawnSettings):
    """How an atlas is laid out and drawn."""

    layer: str = setting("conv5_1", metavar="NAME", help="Whose activations: conv4_3, relu5_1, ...")
    grid: int | None = setting(None, minimum=1, metavar="N", help="Cells a side; by default for 4 pictures in each.")
    least: int = setting(2, minimum=1, metavar="N", help="Pictures that a cell needs to be drawn.")
    layout: Literal["auto", "umap", "pca"] = setting("auto", help="How places are laid out.")
    size: int = setting(80, minimum=16, maximum=4096, metavar="SIDE", help="Side of each small picture, in pixels.")


@dataclass(frozen=True)
class ExemplarsSettings(DrawnSettings):
    """Which channels' exemplars are looked for, and what is made beside them for a report."""

    layer: str = setting("conv4_3", metavar="NAME", help="Whose channels: conv4_3, relu5_1, ...")
    channel: tuple[str, ...] = setting(("all",), metavar="N,...|all", help="Which channels.")
    top: int = setting(9, minimum=1, metavar="N", help="Pictures for each channel.")
    size: int = setting(
        256, minimum=16, maximum=4096, metavar="SIDE", help="Side of the pictures that a report shows beside them."
    )

    @property
    def channels(self) -> list[int] | None:
        """The channels as numbers; None for all.

        Raises:
            SettingsError: one is not a whole number.
        """
        if "all" in self.channel:
            return None
        if wrong := [word for word in self.channel if not word.isdecimal()]:
            raise SettingsError(f"there is no channel '{wrong[0]}'", "give whole numbers, or all")
        return list(dict.fromkeys(map(int, self.channel)))
