"""Reading and writing pictures.

Pictures are sRGB tensors, float32 in [0, 1], N x C x H x W. ``open_picture`` reads a file, a Pillow image or an array:
it turns the picture upright, applies its colour profile, separates its transparency, and decodes no more pixels than
needed. ``save_picture`` writes a picture atomically, with the settings that made it and the photo's metadata;
``read_settings`` reads the settings back.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
