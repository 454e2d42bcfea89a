from ._augmentation import augment as augment
from ._batches import Batch as Batch
from ._batches import PictureBatches as PictureBatches
from ._checkpointed import Checkpointed as Checkpointed
from ._estimate import Estimate as Estimate
from ._fit import fit as fit
from ._pictures import Pictures as Pictures
from ._pictures import TrainingData as TrainingData
from ._pictures import read_training_data as read_training_data
from ._probe import fit_probe as fit_probe
from ._run import RunStep as RunStep
from ._run import TrainingRun as TrainingRun
from ._settings import RECIPES as RECIPES
from ._settings import FinetuneSettings as FinetuneSettings
from ._settings import FitSettings as FitSettings
from ._settings import TrainSettings as TrainSettings
from ._start import resume as resume
from ._start import start as start
from ._step import TrainingStep as TrainingStep
from ._verbs import finetune as finetune
from ._verbs import train as train

__all__ = [
    "RECIPES",
    "Batch",
    "Checkpointed",
    "Estimate",
    "FinetuneSettings",
    "FitSettings",
    "PictureBatches",
    "Pictures",
    "RunStep",
    "TrainSettings",
    "TrainingData",
    "TrainingRun",
    "TrainingStep",
    "augment",
    "finetune",
    "fit",
    "fit_probe",
    "read_training_data",
    "resume",
    "start",
    "train",
]
