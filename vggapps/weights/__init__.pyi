from ._backbone import load_network as load_network
from ._files import save_weights as save_weights
from ._labels import imagenet as imagenet
from ._load import load_vgg as load_vgg
from ._records import RECORDS as RECORDS
from ._records import WeightsRecord as WeightsRecord
from ._trunk import load_trunk as load_trunk

__all__ = [
    "RECORDS",
    "WeightsRecord",
    "imagenet",
    "load_network",
    "load_trunk",
    "load_vgg",
    "save_weights",
]
