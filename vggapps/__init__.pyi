from . import classification as classification
from . import datasets as datasets
from . import errors as errors
from . import explanation as explanation
from . import features as features
from . import figures as figures
from . import image as image
from . import losses as losses
from . import objectives as objectives
from . import optimize as optimize
from . import painters as painters
from . import settings as settings
from . import style as style
from . import training as training
from . import vgg as vgg
from . import visualization as visualization
from . import weights as weights
from .classification import classify as classify
from .classification import explain as explain
from .features import extract as extract
from .features import similar as similar
from .image import Picture as Picture
from .image import open_picture as open_picture
from .image import save_picture as save_picture
from .losses import PerceptualLoss as PerceptualLoss
from .losses import compare as compare
from .painters import paint as paint
from .painters import train_style as train_style
from .style import stylize as stylize
from .training import finetune as finetune
from .training import train as train
from .vgg import VGG as VGG
from .vgg import FeatureExtractor as FeatureExtractor
from .vgg import record as record
from .visualization import dream as dream
from .visualization import invert as invert
from .visualization import visualize as visualize
from .weights import load_vgg as load_vgg

__version__: str
__all__ = [
    "VGG",
    "FeatureExtractor",
    "PerceptualLoss",
    "Picture",
    "__version__",
    "classification",
    "classify",
    "compare",
    "datasets",
    "dream",
    "errors",
    "explain",
    "explanation",
    "extract",
    "features",
    "figures",
    "finetune",
    "image",
    "invert",
    "load_vgg",
    "losses",
    "objectives",
    "open_picture",
    "optimize",
    "paint",
    "painters",
    "record",
    "save_picture",
    "settings",
    "similar",
    "style",
    "stylize",
    "train",
    "train_style",
    "training",
    "vgg",
    "visualization",
    "visualize",
    "weights",
]
