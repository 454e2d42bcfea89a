"""Perceptual losses, style losses and learned metrics: on features of a frozen network, safe inside training.

>>> from vggapps.losses import PerceptualLoss
>>> print(PerceptualLoss({"relu3_3": 1.0}).describe())
PerceptualLoss on vgg19 (vgg19-installed, oxford input, max pooling), pictures in 0..1
mean over pictures of the sum of
  1 · l1 (relu3_3)
  with l1 = mean |x - y|
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
