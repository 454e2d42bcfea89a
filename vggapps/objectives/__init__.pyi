from ._forms import Form as Form
from ._forms import written as written
from ._networks import Networks as Networks
from ._networks import load_networks as load_networks
from ._networks import see as see
from ._objective import FORMS as FORMS
from ._objective import Objective as Objective
from ._objective import Seen as Seen
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
    "Form",
    "Networks",
    "Objective",
    "Seen",
    "alignment",
    "caricature",
    "channel",
    "class_score",
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
    "see",
    "written",
]
