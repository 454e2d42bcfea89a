"""The table of weights says what their publishers say."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import get_args

import pytest
import torch
from torchvision import models

from vggapps.errors import SettingsError
from vggapps.vgg._plan import PLANS
from vggapps.weights._files import CONVENTIONS
from vggapps.weights._records import RECORDS, get_record
from vggapps.weights._trunk import TrunkName

PUBLISHED = [
    (name, weights)
    for name in models.list_models(models)
    if name.startswith("vgg")
    for weights in models.get_model_weights(name)
]


def record_of(url: str) -> str:
    return next(record.name for record in RECORDS.values() if url in record.urls)


@pytest.mark.parametrize(("network", "weights"), PUBLISHED, ids=str)
def test_torchvisions_table(network: str, weights: models.WeightsEnum) -> None:
    record = RECORDS[record_of(weights.url)]
    assert record.network == network
    assert record.file == weights.url.rpartition("/")[2]
    assert record.size == round(weights.meta["_file_size"] * 2**20)
    transforms, convention = weights.transforms(), CONVENTIONS[record.convention]
    assert convention.mean == pytest.approx(tuple(transforms.mean))
    assert convention.std == pytest.approx(tuple(transforms.std))
    accuracy = weights.meta["_metrics"]["ImageNet-1K"]
    if math.isnan(accuracy["acc@1"]):
        assert (record.top1, record.layers, record.classes) == (None, "features", 0)
    else:
        assert (record.top1, record.top5, record.layers) == (accuracy["acc@1"], accuracy["acc@5"], "full")


def test_all_of_torchvisions_are_there() -> None:
    assert len(PUBLISHED) == 9
    assert len({record_of(weights.url) for _, weights in PUBLISHED}) == 9


@pytest.mark.parametrize("network", ["vgg16", "vgg19", "alexnet", "squeezenet1_1"])
def test_convolutions_are_taken_from_what_torchvision_publishes(network: str) -> None:
    record, weights = RECORDS[f"{network}-convolutions"], models.get_model_weights(network)["IMAGENET1K_V1"]
    assert (record.network, record.layers, record.part) == (network, "features", "features.")
    assert record.urls == (weights.url,)
    assert record.file == weights.url.rpartition("/")[2]
    assert record.stored == f"{network}-convolutions-{weights.url[-12:-4]}.safetensors"
    with torch.device("meta"):
        tensors = models.get_model(network).features.state_dict().values()
    assert record.size == sum(4 * tensor.numel() for tensor in tensors)
    transforms, convention = weights.transforms(), CONVENTIONS[record.convention]
    assert (convention.mean, convention.std) == (tuple(transforms.mean), tuple(transforms.std))


def test_digests_are_whole_or_those_of_the_file_name() -> None:
    for record in RECORDS.values():
        assert len(record.sha256) == 64 or record.file.endswith(f"-{record.sha256}.pth")
        assert re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}", record.sha256)


def test_every_record_is_complete() -> None:
    for name, record in RECORDS.items():
        assert record.name == name
        assert record.network in (*PLANS, *get_args(TrunkName))
        assert record.convention in CONVENTIONS
        assert bool(record.urls) != bool(record.distribution)
        assert bool(record.classes) == (record.layers != "features")
        assert (record.base in RECORDS) == (record.layers == "head")
        assert record.licence
        assert record.citation


def test_a_wrong_name() -> None:
    with pytest.raises(SettingsError, match="did you mean 'vgg19-caffe'"):
        get_record("vgg19-cafe")


def test_the_table_loads_no_torch() -> None:
    program = "import sys, vggapps.weights._store, vggapps.cli.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
