from ._boxes import draw_boxes as draw_boxes
from ._film import save_film as save_film
from ._overlay import caption as caption
from ._overlay import colors_of as colors_of
from ._overlay import difference_map as difference_map
from ._overlay import overlay as overlay
from ._sheet import contact_sheet as contact_sheet
from ._sheet import mosaic as mosaic
from ._sheet import short_number as short_number

__all__ = [
    "caption",
    "colors_of",
    "contact_sheet",
    "difference_map",
    "draw_boxes",
    "mosaic",
    "overlay",
    "save_film",
    "short_number",
]
