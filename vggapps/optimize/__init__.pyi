from ._engine import optimize as optimize
from ._parameterize import fourier as fourier
from ._parameterize import maco as maco
from ._parameterize import spectrum_of as spectrum_of
from ._step import Progress as Progress
from ._step import Step as Step

__all__ = [
    "Progress",
    "Step",
    "fourier",
    "maco",
    "optimize",
    "spectrum_of",
]
