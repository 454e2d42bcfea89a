from ._activations import Activation as Activation
from ._activations import map_sheet as map_sheet
from ._activations import maps_of as maps_of
from ._activations import strongest as strongest
from ._atlas import cells as cells
from ._atlas import sample as sample
from ._deepdream import dream as dream
from ._deepdream import dream_steps as dream_steps
from ._deepdream import guided as guided
from ._dream_settings import DreamSettings as DreamSettings
from ._filters import filter_sheet as filter_sheet
from ._filters import first_filters as first_filters
from ._inversion import invert as invert
from ._inversion import invert_steps as invert_steps
from ._invert_settings import InvertSettings as InvertSettings
from ._made import Made as Made
from ._made import judge as judge
from ._made import visualize as visualize
from ._natural import maxima as maxima
from ._natural import save_natural as save_natural
from ._render import visualize_steps as visualize_steps
from ._report import report as report
from ._retrieval import Exemplar as Exemplar
from ._retrieval import Exemplars as Exemplars
from ._retrieval import crops as crops
from ._retrieval import exemplars as exemplars
from ._settings import VisualizeSettings as VisualizeSettings
from ._spectrum import SIDE as SIDE
from ._spectrum import load_spectrum as load_spectrum
from ._spectrum import middle as middle
from ._transforms import Views as Views
from ._zooming import zoom_steps as zoom_steps

__all__ = [
    "SIDE",
    "Activation",
    "DreamSettings",
    "Exemplar",
    "Exemplars",
    "InvertSettings",
    "Made",
    "Views",
    "VisualizeSettings",
    "cells",
    "crops",
    "dream",
    "dream_steps",
    "exemplars",
    "filter_sheet",
    "first_filters",
    "guided",
    "invert",
    "invert_steps",
    "judge",
    "load_spectrum",
    "map_sheet",
    "maps_of",
    "maxima",
    "middle",
    "report",
    "sample",
    "save_natural",
    "strongest",
    "visualize",
    "visualize_steps",
    "zoom_steps",
]
