from ._classifier import Classifier as Classifier
from ._classifier import Label as Label
from ._classifier import Prediction as Prediction
from ._classifier import Predictions as Predictions
from ._classifier import Result as Result
from ._classifier import classify as classify
from ._evaluation import Evaluation as Evaluation
from ._evaluation import Rate as Rate
from ._evaluation import evaluate as evaluate
from ._explained import Explained as Explained
from ._explained import explain as explain
from ._settings import ClassifySettings as ClassifySettings
from ._views import VIEWS as VIEWS

__all__ = [
    "VIEWS",
    "Classifier",
    "ClassifySettings",
    "Evaluation",
    "Explained",
    "Label",
    "Prediction",
    "Predictions",
    "Rate",
    "Result",
    "classify",
    "evaluate",
    "explain",
]
