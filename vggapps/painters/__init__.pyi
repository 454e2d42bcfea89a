from ._export import export_painter as export_painter
from ._export import folded as folded
from ._files import load_painter as load_painter
from ._files import save_painter as save_painter
from ._network import Painter as Painter
from ._paint_settings import PaintSettings as PaintSettings
from ._painting import paint as paint
from ._run import train_style as train_style
from ._settings import PainterSettings as PainterSettings
from ._tiles import paint_tensor as paint_tensor
from ._training import train_painter as train_painter

__all__ = [
    "PaintSettings",
    "Painter",
    "PainterSettings",
    "export_painter",
    "folded",
    "load_painter",
    "paint",
    "paint_tensor",
    "save_painter",
    "train_painter",
    "train_style",
]
