"""Picture files and tensors: one way in, one way out.

A picture inside vggapps is sRGB, float32, [0, 1], N C H W. ``open_picture`` makes one from a file, a Pillow picture or
a NumPy array, upright, its colour profile applied and its transparency split off, and no larger than it will be seen.
``save_picture`` writes one, whole or not at all, with the settings that made it and what the photo told of its making;
``read_settings`` gets the settings back.
"""

from __future__ import annotations

from vggapps.image._encode import check_format, encode_picture, on_white, to_pil
from vggapps.image._folders import Folder, is_passed_over, look_into
from vggapps.image._metadata import Metadata
from vggapps.image._opening import MAX_PIXELS, Source, size_of
from vggapps.image._pair import comparable, open_pair
from vggapps.image._picture import Picture, is_picture_file
from vggapps.image._read import from_pil, open_picture, rgb_of
from vggapps.image._resize import center, fit, middle, resize, scaled, square, with_shorter_side
from vggapps.image._settings import read_settings
from vggapps.image._write import check_target, save_picture

__all__ = [
    "MAX_PIXELS",
    "Folder",
    "Metadata",
    "Picture",
    "Source",
    "center",
    "check_format",
    "check_target",
    "comparable",
    "encode_picture",
    "fit",
    "from_pil",
    "is_passed_over",
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
