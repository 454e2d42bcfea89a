from .classifier import Classifier as Classifier
from .classifier import Label as Label
from .classifier import Prediction as Prediction
from .settings import ClassifySettings as ClassifySettings

__all__ = ["Classifier", "ClassifySettings", "Label", "Prediction"]
