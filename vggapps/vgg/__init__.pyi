from ._device import accelerate as accelerate
from ._device import pick_device as pick_device
from ._device import pick_dtype as pick_dtype
from ._extractor import FeatureExtractor as FeatureExtractor
from ._hooks import OUTPUT as OUTPUT
from ._hooks import preprocessed as preprocessed
from ._hooks import record as record
from ._network import VGG as VGG
from ._network import initialize as initialize
from ._normalize import PLAIN as PLAIN
from ._normalize import Convention as Convention
from ._plan import PLANS as PLANS
from ._plan import Plan as Plan
from ._plan import get_plan as get_plan
from ._plan import plan_of_blocks as plan_of_blocks

__all__ = [
    "OUTPUT",
    "PLAIN",
    "PLANS",
    "VGG",
    "Convention",
    "FeatureExtractor",
    "Plan",
    "accelerate",
    "get_plan",
    "initialize",
    "pick_device",
    "pick_dtype",
    "plan_of_blocks",
    "preprocessed",
    "record",
]
