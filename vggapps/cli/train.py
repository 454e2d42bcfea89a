"""``vggapps train`` and ``vggapps finetune``: networks for classes of one's own pictures."""

from __future__ import annotations

from typing import Annotated

import typer

from vggapps.cli.options import Force, Json, Quiet, with_settings
from vggapps.cli.training import run
from vggapps.training._settings import FinetuneSettings, TrainSettings

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA", help="A folder, a .csv file, .tar shards or torchvision:NAME=FOLDER.", show_default=False
    ),
]
Folder = Annotated[str, typer.Option("--output", "-o", metavar="FOLDER", help="The folder of the run.")]
Resume = Annotated[
    str | None,
    typer.Option("--resume", metavar="FOLDER", help="Go on with the run in this folder; it has its settings."),
]


@with_settings(TrainSettings)
def train(
    settings: TrainSettings,
    data: Data = None,
    output: Folder = "run",
    resume: Resume = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier of the classes in DATA, from scratch or from given weights.

    DATA is a folder with one folder of pictures per class; a folder with two such
    folders, train and val; a .csv file with columns file and class, and maybe
    split (train, val); .tar shards in the format of WebDataset, quoted as in
    'shards/train-{000..099}.tar'; or a data set of torchvision that is on this
    machine. Without a validation part, a fifth of each class is held out, chosen
    by the names of the files.

    The output folder gets best.safetensors (the weights of the epoch with the
    best validation accuracy) and last.safetensors, for --backbone of every
    command; the log of the epochs as log.csv and log.jsonl; the learning curves,
    curves.png; the settings, run.json; and checkpoints for --resume.

    Ctrl-C stops after the present step and keeps a checkpoint. A resumed run
    gives the weights of one that never stopped: on the CPU and in one process,
    bit for bit.

    --recipe [bold]modern[/bold] converges reliably with batch norm, from 1,000 pictures up.
    For fewer, use [bold]vggapps finetune[/bold]. --recipe [bold]paper[/bold] is section 3.1 of the VGG
    paper. The recipe sets the defaults of the options below.

    [bold]torchrun --nproc-per-node 4 -m vggapps train ...[/bold] trains on four GPUs; --batch
    is that of all of them together.

    [bold]Examples[/bold]

      vggapps train photos/ -o run/

      vggapps train torchvision:FashionMNIST=data/ --arch 64x2-128x2-256x2_bn

      vggapps train photos/ --arch vgg11_bn --size 128 --stop-after 5 -o run/

      vggapps train --resume run/
    """
    run(settings, data, output, resume, force=force, as_json=as_json, quiet=quiet)


@with_settings(FinetuneSettings)
def finetune(
    settings: FinetuneSettings,
    data: Data = None,
    output: Folder = "run",
    resume: Resume = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier of the classes in DATA from a network trained on ImageNet.

    It takes a few dozen pictures per class and minutes on a CPU. DATA, the output
    folder and --resume are those of [bold]vggapps train[/bold].

    A new head is first set to a linear probe of the network's features (logistic
    regression). Then the head and the last convolution are trained, or all layers
    after --freeze-to, each block at a tenth of the learning rate of the one after
    it. The maps of the frozen layers are computed once, for each picture and its
    mirror image, if there is room for them.

    [bold]Examples[/bold]

      vggapps finetune photos/ -o run/
      vggapps classify --backbone run/best.safetensors photo.jpg

      vggapps finetune photos/ --weights vgg16 --freeze-to pool3 --epochs 40

      vggapps finetune photos/ --no-cache --augment crops -o run/
    """
    run(settings, data, output, resume, force=force, as_json=as_json, quiet=quiet)
