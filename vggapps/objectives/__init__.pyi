from ._forms import Form as Form
from ._forms import text_form as text_form
from ._networks import Networks as Networks
from ._networks import compute_activations as compute_activations
from ._networks import load_networks as load_networks
from ._objective import FORMS as FORMS
from ._objective import Activations as Activations
from ._objective import Objective as Objective
from ._objective import alignment as alignment
from ._objective import caricature as caricature
from ._objective import channel as channel
from ._objective import class_score as class_score
from ._objective import direction as direction
from ._objective import diversity as diversity
from ._objective import each as each
from ._objective import interpolate as interpolate
from ._objective import layer as layer
from ._objective import likeness as likeness
from ._objective import neuron as neuron
from ._text import expand as expand
from ._text import parse as parse

__all__ = [
    "FORMS",
    "Activations",
    "Form",
    "Networks",
    "Objective",
    "alignment",
    "caricature",
    "channel",
    "class_score",
    "compute_activations",
    "direction",
    "diversity",
    "each",
    "expand",
    "interpolate",
    "layer",
    "likeness",
    "load_networks",
    "neuron",
    "parse",
    "text_form",
]
