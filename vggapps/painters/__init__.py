"""Painters: small networks that paint photos in the styles they were trained on, in one pass."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
