from .classification import classify as classify
from .classification import explain as explain
from .features import extract as extract
from .features import similar as similar
from .image import open_picture as open_picture
from .image import save_picture as save_picture
from .losses import compare as compare
from .losses._perceptual import PerceptualLoss as PerceptualLoss
from .style import stylize as stylize
from .vgg._hooks import record as record
from .vgg._network import VGG as VGG
from .vgg._network import FeatureExtractor as FeatureExtractor
from .visualization import dream as dream
from .visualization import invert as invert
from .visualization import visualize as visualize
from .weights._load import load_vgg as load_vgg

__version__: str
__all__ = [
    "VGG",
    "FeatureExtractor",
    "PerceptualLoss",
    "__version__",
    "classify",
    "compare",
    "dream",
    "explain",
    "extract",
    "invert",
    "load_vgg",
    "open_picture",
    "record",
    "save_picture",
    "similar",
    "stylize",
    "visualize",
]
