"""Picture files and tensors: one way in, one way out.

A picture inside vggapps is sRGB, float32, [0, 1], N C H W. ``open_picture`` makes one from a file, a Pillow picture or
a NumPy array, upright, its colour profile applied and its transparency split off, and no larger than it will be seen.
``save_picture`` writes one, whole or not at all, with the settings that made it and what the photo told of its making;
``read_settings`` gets the settings back.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
