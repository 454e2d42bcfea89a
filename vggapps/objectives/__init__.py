"""Objectives: what a visualization maximizes or an explanation explains, as Python objects and as text.

As text: ``TERM + TERM - TERM``, with spaces around the signs, as class names contain hyphens; a term can have a weight,
``0.5*TERM``. Terms:

    conv4_3               a whole layer
    conv4_3:12            a channel
    conv4_3:12@center     its centre position; @3,5 is row 3, column 5
    class:tabby           a class, by name, WordNet id or index
    vgg16/conv4_3:12      the same of another network
    direction(conv4_3, v.npy)  caricature(conv4_3, cat.jpg)  likeness(conv4_3, cat.jpg)
    diversity(conv4_3)  alignment(conv4_3)  interpolate(conv4_3:12, conv4_3:200)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
