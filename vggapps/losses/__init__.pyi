from .bundle import Bundle as Bundle
from .bundle_target import BundleTarget as BundleTarget
from .distance import DISTANCES as DISTANCES
from .distance import Distance as Distance
from .dists import DISTS as DISTS
from .ensemble import ShiftEnsemble as ShiftEnsemble
from .lpips import LPIPS as LPIPS
from .perceptual import PerceptualLoss as PerceptualLoss
from .perceptual import Term as Term
from .presets import PRESETS as PRESETS
from .target import Target as Target
from .terms import Regularizer as Regularizer

__all__ = [
    "DISTANCES",
    "DISTS",
    "LPIPS",
    "PRESETS",
    "Bundle",
    "BundleTarget",
    "Distance",
    "PerceptualLoss",
    "Regularizer",
    "ShiftEnsemble",
    "Target",
    "Term",
]
