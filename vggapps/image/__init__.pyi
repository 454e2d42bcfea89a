from ._encode import encode_picture as encode_picture
from ._encode import on_white as on_white
from ._encode import to_pil as to_pil
from ._folders import Folder as Folder
from ._folders import look_into as look_into
from ._metadata import Metadata as Metadata
from ._opening import Source as Source
from ._opening import size_of as size_of
from ._pair import comparable as comparable
from ._pair import open_pair as open_pair
from ._picture import Picture as Picture
from ._picture import is_picture_file as is_picture_file
from ._read import from_pil as from_pil
from ._read import open_picture as open_picture
from ._read import rgb_of as rgb_of
from ._resize import center as center
from ._resize import fit as fit
from ._resize import middle as middle
from ._resize import resize as resize
from ._resize import scaled as scaled
from ._resize import square as square
from ._resize import with_shorter_side as with_shorter_side
from ._settings import read_settings as read_settings
from ._write import check_target as check_target
from ._write import save_picture as save_picture

__all__ = [
    "Folder",
    "Metadata",
    "Picture",
    "Source",
    "center",
    "check_target",
    "comparable",
    "encode_picture",
    "fit",
    "from_pil",
    "is_picture_file",
    "look_into",
    "middle",
    "on_white",
    "open_pair",
    "open_picture",
    "read_settings",
    "resize",
    "rgb_of",
    "save_picture",
    "scaled",
    "size_of",
    "square",
    "to_pil",
    "with_shorter_side",
]
