from .limits import Limits as Limits
from .page import build as build
from .serve import served as served

__all__ = [
    "Limits",
    "build",
    "served",
]
