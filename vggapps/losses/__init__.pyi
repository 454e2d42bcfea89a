from .bundle import Bundle as Bundle
from .bundle import ShiftEnsemble as ShiftEnsemble
from .distance import DISTANCES as DISTANCES
from .distance import Distance as Distance
from .dists import DISTS as DISTS
from .lpips import LPIPS as LPIPS
from .perceptual import PerceptualLoss as PerceptualLoss
from .perceptual import Term as Term
from .presets import PRESETS as PRESETS
from .target import Target as Target

__all__ = [
    "DISTANCES",
    "DISTS",
    "LPIPS",
    "PRESETS",
    "Bundle",
    "Distance",
    "PerceptualLoss",
    "ShiftEnsemble",
    "Target",
    "Term",
]
