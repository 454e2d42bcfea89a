"""Features: pictures as rows of numbers, in files, and what can be learned from them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
