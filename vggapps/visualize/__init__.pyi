from .activations import Activation as Activation
from .activations import icons as icons
from .activations import map_sheet as map_sheet
from .activations import maps_of as maps_of
from .activations import strongest as strongest
from .atlas import cells as cells
from .atlas import lay_out as lay_out
from .atlas import sample as sample
from .deepdream import dream as dream
from .deepdream import guided as guided
from .dream_settings import DreamSettings as DreamSettings
from .film import save_film as save_film
from .filters import filter_sheet as filter_sheet
from .filters import first_filters as first_filters
from .inversion import invert as invert
from .invert_settings import InvertSettings as InvertSettings
from .made import Made as Made
from .made import judge as judge
from .natural import maxima as maxima
from .natural import yardstick as yardstick
from .networks import load_networks as load_networks
from .networks import see as see
from .objectives import Objective as Objective
from .objectives import Seen as Seen
from .objectives import alignment as alignment
from .objectives import caricature as caricature
from .objectives import channel as channel
from .objectives import class_score as class_score
from .objectives import direction as direction
from .objectives import diversity as diversity
from .objectives import each as each
from .objectives import interpolate as interpolate
from .objectives import layer as layer
from .objectives import likeness as likeness
from .objectives import neuron as neuron
from .render import visualize as visualize
from .report import report as report
from .retrieval import Exemplar as Exemplar
from .retrieval import Exemplars as Exemplars
from .retrieval import crops as crops
from .retrieval import exemplars as exemplars
from .settings import VisualizeSettings as VisualizeSettings
from .sheet import contact_sheet as contact_sheet
from .spectrum import load_spectrum as load_spectrum
from .text import expand as expand
from .text import parse as parse
from .transforms import Views as Views
from .zooming import zoom as zoom

__all__ = [
    "Activation",
    "DreamSettings",
    "Exemplar",
    "Exemplars",
    "InvertSettings",
    "Made",
    "Objective",
    "Seen",
    "Views",
    "VisualizeSettings",
    "alignment",
    "caricature",
    "cells",
    "channel",
    "class_score",
    "contact_sheet",
    "crops",
    "direction",
    "diversity",
    "dream",
    "each",
    "exemplars",
    "expand",
    "filter_sheet",
    "first_filters",
    "guided",
    "icons",
    "interpolate",
    "invert",
    "judge",
    "lay_out",
    "layer",
    "likeness",
    "load_networks",
    "load_spectrum",
    "map_sheet",
    "maps_of",
    "maxima",
    "neuron",
    "parse",
    "report",
    "sample",
    "save_film",
    "see",
    "strongest",
    "visualize",
    "yardstick",
    "zoom",
]
