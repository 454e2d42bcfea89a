from ._fit import fit as fit
from ._settings import RECIPES as RECIPES
from ._settings import FinetuneSettings as FinetuneSettings
from ._settings import FitSettings as FitSettings
from ._settings import TrainSettings as TrainSettings
from ._step import TrainingStep as TrainingStep

__all__ = [
    "RECIPES",
    "FinetuneSettings",
    "FitSettings",
    "TrainSettings",
    "TrainingStep",
    "fit",
]
