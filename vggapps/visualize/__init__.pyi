from .made import Made as Made
from .made import judge as judge
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
from .settings import VisualizeSettings as VisualizeSettings
from .sheet import contact_sheet as contact_sheet
from .spectrum import load_spectrum as load_spectrum
from .text import expand as expand
from .text import parse as parse
from .transforms import Views as Views

__all__ = [
    "Made",
    "Objective",
    "Seen",
    "Views",
    "VisualizeSettings",
    "alignment",
    "caricature",
    "channel",
    "class_score",
    "contact_sheet",
    "direction",
    "diversity",
    "each",
    "expand",
    "interpolate",
    "judge",
    "layer",
    "likeness",
    "load_networks",
    "load_spectrum",
    "neuron",
    "parse",
    "see",
    "visualize",
]
