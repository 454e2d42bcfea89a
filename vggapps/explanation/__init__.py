"""Why a network says what it says: where in a picture the evidence for a class lies."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
