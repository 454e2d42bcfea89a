"""vggapps: everything people use VGG for.

The names of ``__init__.pyi`` are loaded when they are first used; ``import vggapps`` itself loads no torch. The rooms
are ``vggapps.style``, ``vggapps.losses`` and so on.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
