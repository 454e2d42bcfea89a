from .classifier import Classifier as Classifier
from .classifier import ClassifySettings as ClassifySettings
from .classifier import Label as Label
from .classifier import Prediction as Prediction

__all__ = ["Classifier", "ClassifySettings", "Label", "Prediction"]
