from . import functional as functional
from ._bundle import Bundle as Bundle
from ._bundle_target import BundleTarget as BundleTarget
from ._bundle_terms import Regularizer as Regularizer
from ._compare import Comparison as Comparison
from ._compare import compare as compare
from ._distance import DISTANCES as DISTANCES
from ._distance import Distance as Distance
from ._dists import DISTS as DISTS
from ._ensemble import ShiftEnsemble as ShiftEnsemble
from ._feature_loss import FeatureLoss as FeatureLoss
from ._lpips import LPIPS as LPIPS
from ._metric import AsMetric as AsMetric
from ._perceptual import PerceptualLoss as PerceptualLoss
from ._presets import PRESETS as PRESETS
from ._target import Target as Target
from ._terms import Term as Term
from ._trunk import Trunk as Trunk
from ._variation import total_variation as total_variation

__all__ = [
    "DISTANCES",
    "DISTS",
    "LPIPS",
    "PRESETS",
    "AsMetric",
    "Bundle",
    "BundleTarget",
    "Comparison",
    "Distance",
    "FeatureLoss",
    "PerceptualLoss",
    "Regularizer",
    "ShiftEnsemble",
    "Target",
    "Term",
    "Trunk",
    "compare",
    "functional",
    "total_variation",
]
