from .classifier import Classifier as Classifier
from .classifier import ClassifySettings as ClassifySettings
from .classifier import Prediction as Prediction
from .labels import Label as Label

__all__ = ["Classifier", "ClassifySettings", "Label", "Prediction"]
