"""Figures: contact sheets, heat maps over pictures, plots and films."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
