from .cam import default_layer as default_layer
from .cam import grad_cam as grad_cam
from .cam import heat as heat
from .methods import METHODS as METHODS
from .methods import Explanation as Explanation
from .methods import Method as Method
from .methods import explain as explain
from .overlay import overlay as overlay
from .question import Question as Question
from .question import ask as ask
from .settings import ExplainSettings as ExplainSettings

__all__ = [
    "METHODS",
    "ExplainSettings",
    "Explanation",
    "Method",
    "Question",
    "ask",
    "default_layer",
    "explain",
    "grad_cam",
    "heat",
    "overlay",
]
