from .image import open_picture as open_picture
from .image import save_picture as save_picture
from .losses._perceptual import PerceptualLoss as PerceptualLoss
from .optimize._step import last as last
from .vgg._extractor import FeatureExtractor as FeatureExtractor
from .vgg._hooks import record as record
from .vgg._network import VGG as VGG
from .weights._load import load_vgg as load_vgg

__version__: str
__all__ = [
    "VGG",
    "FeatureExtractor",
    "PerceptualLoss",
    "__version__",
    "last",
    "load_vgg",
    "open_picture",
    "record",
    "save_picture",
]
