from ._activations import ChannelActivation as ChannelActivation
from ._activations import filter_sheet as filter_sheet
from ._activations import first_filters as first_filters
from ._activations import map_sheet as map_sheet
from ._activations import maps_of as maps_of
from ._activations import strongest as strongest
from ._activations import visualize_vectors as visualize_vectors
from ._atlas import cells as cells
from ._atlas import sample as sample
from ._deepdream import dream as dream
from ._deepdream import dream_steps as dream_steps
from ._deepdream import guided as guided
from ._inversion import invert as invert
from ._inversion import invert_steps as invert_steps
from ._natural import SPECTRUM_SIDE as SPECTRUM_SIDE
from ._natural import load_spectrum as load_spectrum
from ._natural import maxima as maxima
from ._natural import natural_maximum as natural_maximum
from ._natural import save_natural as save_natural
from ._natural import spectrum_square as spectrum_square
from ._render import Views as Views
from ._render import visualize_steps as visualize_steps
from ._report import report as report
from ._retrieval import Exemplar as Exemplar
from ._retrieval import Exemplars as Exemplars
from ._retrieval import exemplars as exemplars
from ._retrieval import patches_of as patches_of
from ._settings import DreamSettings as DreamSettings
from ._settings import InvertSettings as InvertSettings
from ._settings import VisualizeSettings as VisualizeSettings
from ._visualized import Visualized as Visualized
from ._visualized import score_pictures as score_pictures
from ._visualized import visualize as visualize
from ._zooming import zoom_steps as zoom_steps

__all__ = [
    "SPECTRUM_SIDE",
    "ChannelActivation",
    "DreamSettings",
    "Exemplar",
    "Exemplars",
    "InvertSettings",
    "Views",
    "VisualizeSettings",
    "Visualized",
    "cells",
    "dream",
    "dream_steps",
    "exemplars",
    "filter_sheet",
    "first_filters",
    "guided",
    "invert",
    "invert_steps",
    "load_spectrum",
    "map_sheet",
    "maps_of",
    "maxima",
    "natural_maximum",
    "patches_of",
    "report",
    "sample",
    "save_natural",
    "score_pictures",
    "spectrum_square",
    "strongest",
    "visualize",
    "visualize_steps",
    "visualize_vectors",
    "zoom_steps",
]
