from ._describe import Chunk as Chunk
from ._describe import Descriptor as Descriptor
from ._describe import extract_chunks as extract_chunks
from ._extraction import extract_to as extract_to
from ._files import FeatureTable as FeatureTable
from ._files import load_features as load_features
from ._heads import Head as Head
from ._heads import save_head as save_head
from ._probe import Report as Report
from ._probe import probe as probe
from ._similar import Match as Match
from ._similar import nearest as nearest
from ._similar import similar_sheet as similar_sheet
from ._targets import Classes as Classes
from ._targets import classes_of as classes_of
from ._targets import teacher_of as teacher_of
from ._verbs import Matches as Matches
from ._verbs import extract as extract
from ._verbs import similar as similar

__all__ = [
    "Chunk",
    "Classes",
    "Descriptor",
    "FeatureTable",
    "Head",
    "Match",
    "Matches",
    "Report",
    "classes_of",
    "extract",
    "extract_chunks",
    "extract_to",
    "load_features",
    "nearest",
    "probe",
    "save_head",
    "similar",
    "similar_sheet",
    "teacher_of",
]
