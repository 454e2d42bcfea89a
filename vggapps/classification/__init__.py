"""Classification by the protocol of the VGG paper: classes, evaluation and bounding boxes.

>>> from vggapps.classification import Classifier
>>> len(Classifier("vgg19-gap").labels)
1000
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
