"""Several processes, and a GPU, train as one process on the CPU does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from vggapps.training import FitSettings, fit
from vggapps.vgg import VGG, initialize

RANKS = """
import sys, torch, torch.distributed as dist
from torch import nn
from vggapps.training import FitSettings, fit
kind = sys.argv[2]
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
if kind == "fsdp":
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.device_mesh import init_device_mesh
    fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
generator = torch.Generator().manual_seed(3)
rows, targets = torch.randn(21, 4, generator=generator), torch.arange(21) % 3
cuts = [(0, 8), (8, 16), (16, 21)]  # the last is uneven: 3 and 2 pictures
batches = []
for low, high in cuts:
    middle = low + (high - low + 1) // 2
    part = slice(low, middle) if rank == 0 else slice(middle, high)
    batches.append((rows[part], targets[part]))
settings = FitSettings(epochs=2, optimizer="sgd", learning_rate=0.1, clip=0.5, accumulate=2, dtype="float32")
steps = fit(model, batches, nn.CrossEntropyLoss(), settings)
losses = []
for step in steps:
    losses.append(step.loss)
    state = step.state()
if rank == 0:
    torch.save({"losses": losses, "model": state["model"]}, sys.argv[1])
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path: Path, kind: str) -> None:
    script, out = tmp_path / "ranks.py", tmp_path / "out.pt"
    script.write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, out, kind]
    subprocess.run(command, check=True, timeout=100, capture_output=True)
    found = torch.load(out, weights_only=True)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    rows, targets = torch.randn(21, 4, generator=torch.Generator().manual_seed(3)), torch.arange(21) % 3
    batches = [(rows[a:b], targets[a:b]) for a, b in ((0, 8), (8, 16), (16, 21))]
    settings = FitSettings(epochs=2, optimizer="sgd", learning_rate=0.1, clip=0.5, accumulate=2, dtype="float32")
    losses = [step.loss for step in fit(model, batches, nn.CrossEntropyLoss(), settings)]
    assert found["losses"] == pytest.approx(losses, abs=1e-6)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found["model"][name], value, atol=1e-6, rtol=0)


def test_the_command_under_torchrun_gives_the_weights_of_one_process(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("bright", "dark"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = generator.integers(0, 256, (16, 16, 3), np.uint8) // (1 + (name == "dark"))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    options = "--arch 8-8 --size 16 --epochs 2 --batch 6 --workers 0 --dtype float32 --device cpu"
    command = ["vggapps", "train", "photos", *options.split()]
    alone = subprocess.run(
        [sys.executable, "-m", *command, "-o", "one"], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert alone.returncode == 0, alone.stderr
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    both = subprocess.run([*torchrun, *command, "-o", "two"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert both.returncode == 0, both.stderr
    assert both.stdout == "two/best.safetensors\n"
    one, two = (load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=1e-4)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for row, other in zip(*logs, strict=True):
        assert other["loss"] == pytest.approx(row["loss"], abs=1e-5)
        assert other["validation_loss"] == pytest.approx(row["validation_loss"], abs=1e-5)
        assert other["validation_top1"] == row["validation_top1"]  # each picture once, not padded to even shares


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_as_the_cpu_does() -> None:
    both = []
    for device in ("cpu", "cuda"):
        model = initialize(VGG("8x2-16_bn", head="gap", classes=2), seed=0).to(device)
        batches = [(torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(2)), torch.arange(8) % 2)] * 3
        settings = FitSettings(epochs=2, optimizer="sgd", learning_rate=0.05, dtype="float32", clip=1.0, ema=0.9)
        both.append([step.loss for step in fit(model, batches, nn.CrossEntropyLoss(), settings)])
    assert both[1] == pytest.approx(both[0], abs=2e-3)
