from .settings import StylizeSettings as StylizeSettings
from .transfer import load_backbone as load_backbone
from .transfer import painted as painted
from .transfer import stylize as stylize

__all__ = ["StylizeSettings", "load_backbone", "painted", "stylize"]
