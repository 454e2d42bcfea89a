"""Picture files and tensors: one way in, one way out.

A picture inside vggapps is sRGB, float32, [0, 1], N C H W. ``open_picture`` makes one from any file, upright,
its colour profile applied and its transparency split off; ``save_picture`` writes one, whole or not at all,
with the settings that made it; ``read_settings`` gets those back.
"""

from __future__ import annotations

from vggapps.image.folders import Folder, is_passed_over, look_into
from vggapps.image.opening import MAX_PIXELS, size_of
from vggapps.image.pair import comparable
from vggapps.image.picture import Picture, is_picture_file
from vggapps.image.read import from_pil, open_picture, rgb_of
from vggapps.image.resize import fit, resize, scaled
from vggapps.image.settings import read_settings
from vggapps.image.write import check_format, check_target, encode_picture, save_picture, to_pil

__all__ = [
    "MAX_PIXELS",
    "Folder",
    "Picture",
    "check_format",
    "check_target",
    "comparable",
    "encode_picture",
    "fit",
    "from_pil",
    "is_passed_over",
    "is_picture_file",
    "look_into",
    "open_picture",
    "read_settings",
    "resize",
    "rgb_of",
    "save_picture",
    "scaled",
    "size_of",
    "to_pil",
]
