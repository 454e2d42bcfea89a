from ._cam import grad_cam as grad_cam
from ._faithfulness import completeness as completeness
from ._faithfulness import measure_faithfulness as measure_faithfulness
from ._lrp import lrp as lrp
from ._methods import METHODS as METHODS
from ._methods import Explanation as Explanation
from ._methods import Method as Method
from ._methods import explain_batch as explain_batch
from ._methods import input_size as input_size
from ._question import Question as Question
from ._question import ask as ask
from ._question import predicted_classes as predicted_classes
from ._sanity import randomization_test as randomization_test
from ._settings import ExplainSettings as ExplainSettings

__all__ = [
    "METHODS",
    "ExplainSettings",
    "Explanation",
    "Method",
    "Question",
    "ask",
    "completeness",
    "explain_batch",
    "grad_cam",
    "input_size",
    "lrp",
    "measure_faithfulness",
    "predicted_classes",
    "randomization_test",
]
