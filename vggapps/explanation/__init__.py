"""Explanations of predictions: which parts of a picture are evidence for a class."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
