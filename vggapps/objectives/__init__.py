"""Objectives: what a picture is made for, or what an explanation is of; as Python and as text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
