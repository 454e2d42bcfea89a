"""VGG: the paper's networks as data and as modules with named layers, and hooks for any module."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
