from ._dataset import Example as Example
from ._dataset import Listing as Listing
from ._dataset import list_pictures as list_pictures
from ._label_tables import LabelTable as LabelTable
from ._label_tables import read_labels as read_labels
from ._reading import Reading as Reading
from ._reading import read_pictures as read_pictures

__all__ = [
    "Example",
    "LabelTable",
    "Listing",
    "Reading",
    "list_pictures",
    "read_labels",
    "read_pictures",
]
