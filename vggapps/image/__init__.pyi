from ._encode import check_target as check_target
from ._encode import encode_picture as encode_picture
from ._encode import on_white as on_white
from ._encode import save_picture as save_picture
from ._encode import to_pil as to_pil
from ._folders import Folder as Folder
from ._folders import scan_folder as scan_folder
from ._metadata import Metadata as Metadata
from ._opening import Source as Source
from ._opening import size_of as size_of
from ._pair import comparable as comparable
from ._pair import open_pair as open_pair
from ._picture import Picture as Picture
from ._picture import is_picture_file as is_picture_file
from ._read import open_picture as open_picture
from ._read import rgb_of as rgb_of
from ._resize import center_crop as center_crop
from ._resize import center_offset as center_offset
from ._resize import fit as fit
from ._resize import resize as resize
from ._resize import scaled as scaled
from ._resize import square as square
from ._resize import with_shorter_side as with_shorter_side
from ._settings import read_settings as read_settings

__all__ = [
    "Folder",
    "Metadata",
    "Picture",
    "Source",
    "center_crop",
    "center_offset",
    "check_target",
    "comparable",
    "encode_picture",
    "fit",
    "is_picture_file",
    "on_white",
    "open_pair",
    "open_picture",
    "read_settings",
    "resize",
    "rgb_of",
    "save_picture",
    "scaled",
    "scan_folder",
    "size_of",
    "square",
    "to_pil",
    "with_shorter_side",
]
