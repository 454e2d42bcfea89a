"""What a layer, a channel or a class looks for: pictures made for it, and pictures that it was found in."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
