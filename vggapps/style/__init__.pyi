from ._settings import StylizeSettings as StylizeSettings
from ._stylize import stylize as stylize
from ._transfer import load_backbone as load_backbone
from ._transfer import stylize_steps as stylize_steps

__all__ = [
    "StylizeSettings",
    "load_backbone",
    "stylize",
    "stylize_steps",
]
