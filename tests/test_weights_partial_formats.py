"""What torch writes, and what it once wrote, is read in parts as torch reads it; what is wrong is refused."""

from __future__ import annotations

import copyreg
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests import server as fixtures
from tests.server import Server, names, refused
from tests.test_weights_partial import KIB64, both_formats, flipped, network, same, saved, serve, wanted
from vggapps.weights import _store as store

server, cache = fixtures.server, fixtures.cache  # pytest finds them by these names
pytestmark = pytest.mark.usefixtures("cache")


def odd_tensors() -> dict[str, Tensor]:
    whole = torch.arange(300_000.0).reshape(3, 20_000, 5)
    return {
        "features.a": whole,
        "features.transposed": whole.permute(2, 0, 1),
        "features.row": whole[1, 1:3],
        "features.spread": torch.ones(2).expand(3, 2),
        "features.half": torch.full((70_000,), 1000.0, dtype=torch.float16),  # their sum is no 16-bit number
        "features.bfloat": torch.linspace(-1, 1, 7).bfloat16(),
        "features.double": torch.linspace(-1, 1, 7, dtype=torch.float64),
        "features.scalar": torch.tensor(12345),
        "features.bytes": torch.arange(256, dtype=torch.uint8),
        "features.bool": torch.tensor([True, False]),
        "features.empty": torch.empty(0, 3),
        "features.parameter": nn.Parameter(torch.ones(3)),
        "features": torch.ones(1),
        "classifier.features.a": torch.ones(1),
    }


@both_formats
def test_views_types_and_shared_storages_are_as_torch_reads_them(server: Server, zipped: bool) -> None:
    content = saved(odd_tensors(), zipped)
    path = store.get(serve(server, content))
    assert len(wanted(content)) == 12
    same(path, wanted(content))
    assert server.sent < len(content) + 4 * KIB64  # though three tensors share what fills most of the file


# Files of torch 0.1


class _Old:
    """Pickles as tensors and parameters did before torch 0.4, among them those of vgg16-397923af.pth."""

    def __init__(self, reduced: tuple[Any, ...], class_: type = object) -> None:
        self.reduced, self.class_ = reduced, class_

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return self.class_

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return self.reduced


def old_file(numbers: Tensor, offset: int = 0, count: int | None = None) -> bytes:
    """One storage, of which there is a tensor and a parameter."""
    file, storage = io.BytesIO(), object()

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            return ("storage", torch.FloatStorage, "77", "cpu", numbers.numel(), None) if thing is storage else None

    tensor = _Old((torch._utils._rebuild_tensor, (storage, offset, tuple(numbers.shape), numbers.stride())))
    state = (tensor, None, OrderedDict(), True, False)
    made = _Old((copyreg.__newobj__, (nn.Parameter,), state), nn.Parameter)  # type: ignore[attr-defined]
    given = _Old((copyreg.__newobj__, (nn.Parameter, tensor), (True, False, None)), nn.Parameter)  # type: ignore[attr-defined]
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    objects = {"features.0.weight": tensor, "features.2.weight": made, "features.4.weight": given}
    for thing in (0x1950A86A20F9469CFC6C, 1001, system, OrderedDict(objects), ["77"]):
        Pickler(file, protocol=2).dump(thing)
    file.write((count or numbers.numel()).to_bytes(8, "little") + numbers.numpy().tobytes())
    return file.getvalue()


def test_a_file_of_2017(server: Server) -> None:
    content = old_file(torch.randn(4, 3, 3, 3))
    assert b"torch._utils\n_rebuild_tensor\n" in content
    assert b"torch.nn.parameter\nParameter\n" in content
    assert len(wanted(content)) == 3
    same(store.get(serve(server, content)), wanted(content))


@pytest.mark.parametrize("lie", [{"offset": 1}, {"offset": -1}, {"count": 107}])
def test_a_tensor_that_is_not_where_the_file_says(server: Server, cache: Path, lie: dict[str, int]) -> None:
    assert "truncated or damaged" in refused(serve(server, old_file(torch.randn(4, 3, 3, 3), **lie)))
    assert names(cache) == set()


# Files that are not what they should be


@pytest.mark.parametrize(
    "content",
    [
        lambda: network(True)[:-1000],
        lambda: network(False)[:-1000],
        lambda: network(False)[:1000],
        lambda: network(True)[:1000],
        lambda: flipped(network(True)),  # a zip file has sums to find it by
        lambda: b"garbage" * 99,
        lambda: saved([1, 2], True),
        lambda: saved([1, 2], False),
    ],
)
def test_a_damaged_file_is_refused(server: Server, cache: Path, content: Callable[[], bytes]) -> None:
    message = refused(serve(server, content()))
    assert f"{server.url} sends a file that is truncated or damaged" in message
    assert names(cache) == set()


@both_formats
def test_a_file_without_convolutions_is_refused(server: Server, zipped: bool) -> None:
    record = serve(server, saved({"classifier.weight": torch.ones(1)}, zipped))
    assert "has no tensor whose name starts with features." in refused(record)


@both_formats
def test_numbers_that_are_not_finite_are_refused(server: Server, cache: Path, zipped: bool) -> None:
    record = serve(server, saved({"features.0.bias": torch.tensor([1.0, float("nan")])}, zipped))
    assert "features.0.bias has values that are not finite" in refused(record)
    assert names(cache) == set()


class Code:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@both_formats
@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Code(), f"{os.system.__module__}.system"),
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (torch.float32, "torch.float32"),
    ],
    ids=["code", "module", "dtype"],
)
def test_code_is_refused_and_not_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool, thing: Any, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    record = serve(server, saved({"features.0.weight": torch.ones(2), "features.1.weight": thing}, zipped))
    assert f"contains code ({name}), not only tensors" in refused(record)
    assert not (tmp_path / "ran").exists()
