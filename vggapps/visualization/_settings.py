"""Settings of visualizations, dreams, inversions, activations, exemplars and atlases."""

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
    """Settings of a visualization, besides its objective."""

    size: int | None = setting(None, minimum=16, maximum=4096, help="Side in pixels; by default the receptive field.")
    steps: int = setting(64, minimum=1, maximum=100000, help="Steps; more increase activations and saturate colours.")
    pictures: int = setting(
        1, minimum=1, maximum=64, help="Pictures for one objective; diversity(LAYER) makes them differ."
    )
    parameterization: Parameterization = setting(
        "auto", help="Parameterization; auto is maco (spectrum of photographs) for classes, else fourier."
    )
    start: str | None = setting(None, metavar="IMAGE", files=True, help="Start from this picture instead of noise.")
    jitter: float | None = setting(
        None, minimum=0, maximum=512, help="Random shift of the view, in pixels; by default the stride."
    )
    scale: float = setting(1.1, minimum=1, maximum=2, help="Random scaling of the view, by at most this factor.")
    rotate: float = setting(8.0, minimum=0, maximum=180, help="Random rotation of the view, in degrees to each side.")
    tv_weight: float = setting(0.0, minimum=0, help="Weight of total variation; smooths the picture.")
    spectrum: str | None = setting(
        None, metavar="DIR", files=True, help="For maco: use the spectrum of the pictures in this folder."
    )
    seed: int = setting(0, minimum=0, help="Random seed of noise and views; the same seed gives the same file.")


@dataclass(frozen=True)
class DreamSettings(NetworkSettings, ClassSettings):
    """Settings of a dream, besides its objective."""

    size: int = setting(768, minimum=32, maximum=32768, help="Longer side of the result, in pixels.")
    strength: float = setting(1.0, minimum=0, maximum=20, help="Size of each step: how much the picture changes.")
    steps: int = setting(10, minimum=1, maximum=10000, help="Steps per octave.")
    octaves: int = setting(4, minimum=1, maximum=20, help="Number of octaves; more octaves give larger structures.")
    octave_scale: float = setting(1.4, minimum=1.05, maximum=4, help="Ratio of the sizes of neighbouring octaves.")
    jitter: int = setting(32, minimum=0, maximum=512, help="Random shift of the view, in pixels.")
    guide: str | None = setting(
        None, metavar="IMAGE", files=True, help="Amplify the features of this picture in the layer."
    )
    seed: int = setting(0, minimum=0, help="Random seed of the views; the same seed gives the same file.")


@dataclass(frozen=True)
class InvertSettings(NetworkSettings):
    """Settings of an inversion, besides picture and layer."""

    method: Method = setting(
        "fourier", help="fourier is the best and fastest; mv2014 and mv2016 are by Mahendran and Vedaldi."
    )
    size: int = setting(224, minimum=32, maximum=4096, help="Longer side of the result, in pixels.")
    steps: int | None = setting(
        None, minimum=1, maximum=100000, help="Steps; by default 100, 350 for mv2016, 400 for mv2014."
    )
    seed: int = setting(0, minimum=0, help="Random seed of noise and views; the same seed gives the same file.")


@dataclass(frozen=True)
class DrawnSettings(NetworkSettings):
    """Settings of the small visualizations in sheets and reports."""

    size: int = setting(96, minimum=16, maximum=4096, metavar="SIDE", help="Side of each small picture, in pixels.")
    steps: int = setting(VisualizeSettings.steps, minimum=1, maximum=100000, help="Steps for each small picture.")
    seed: int = setting(0, minimum=0, help="Random seed of noise and views; the same seed gives the same file.")

    @property
    def drawing(self) -> VisualizeSettings:
        """The settings of a small visualization."""
        return VisualizeSettings(**{field.name: getattr(self, field.name) for field in fields(DrawnSettings)})


@dataclass(frozen=True)
class ActivationsSettings(DrawnSettings):
    """Settings of a sheet of activations."""

    layer: str = setting("relu4_3", metavar="NAME", help="The layer: conv4_3, relu5_1, ...")
    channels: int = setting(16, minimum=1, metavar="N", help="Number of the strongest channels to show.")
    scale: Literal["common", "own"] = setting("common", help="Colour scale: one for all maps, or one for each.")
    grid: int = setting(
        0, minimum=0, metavar="N", help="Icons for a grid of positions, at most N per side; 8 is usual."
    )


@dataclass(frozen=True)
class AtlasSettings(DrawnSettings):
    """Settings of an atlas."""

    layer: str = setting("conv5_1", metavar="NAME", help="The layer: conv4_3, relu5_1, ...")
    grid: int | None = setting(None, minimum=1, metavar="N", help="Cells per side; by default for 4 pictures per cell.")
    least: int = setting(2, minimum=1, metavar="N", help="Minimum number of pictures in a cell.")
    layout: Literal["auto", "umap", "pca"] = setting("auto", help="Layout of the activations.")
    size: int = setting(80, minimum=16, maximum=4096, metavar="SIDE", help="Side of each small picture, in pixels.")


@dataclass(frozen=True)
class ExemplarsSettings(DrawnSettings):
    """Settings of exemplars, and of the visualizations in their report."""

    layer: str = setting("conv4_3", metavar="NAME", help="The layer: conv4_3, relu5_1, ...")
    channel: tuple[str, ...] = setting(("all",), metavar="N,...|all", help="Which channels.")
    top: int = setting(9, minimum=1, metavar="N", help="Number of pictures for each channel.")
    size: int = setting(
        256, minimum=16, maximum=4096, metavar="SIDE", help="Side of the pictures in a report, in pixels."
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
