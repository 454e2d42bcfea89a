"""Objectives: what a picture is made for, or what an explanation is of; as Python and as text.

As text: ``TERM + TERM - TERM``, with spaces around the sign, since names of classes have hyphens; a term may have a
weight in front, ``0.5*``. Terms:

    conv4_3               a whole layer
    conv4_3:12            a channel
    conv4_3:12@center     its position in the middle; @3,5 that of row 3, column 5
    class:tabby           a class, by name, WordNet id or index
    vgg16/conv4_3:12      of another network than the first
    direction(conv4_3, v.npy)  caricature(conv4_3, cat.jpg)  likeness(conv4_3, cat.jpg)
    diversity(conv4_3)  alignment(conv4_3)  interpolate(conv4_3:12, conv4_3:200)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
