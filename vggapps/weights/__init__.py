"""Weights: which exist (records), where they lie (store, download), how they are read (files, load)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
