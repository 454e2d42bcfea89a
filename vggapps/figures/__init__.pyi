from ._film import save_film as save_film
from ._overlay import overlay as overlay
from ._sheet import contact_sheet as contact_sheet

__all__ = [
    "contact_sheet",
    "overlay",
    "save_film",
]
