"""Taking some tensors out of a ``.pth`` file on a server without transferring the rest.

Nobody publishes the convolutions of torchvision's networks alone, and nine tenths of a file are fully connected
layers. timm's safetensors files of VGG would be simpler to read in parts, but we know of no digest that their publisher
states, and of no such files of AlexNet and SqueezeNet.

Both of torch's formats say near an end of the file which bytes are whose, so the rest need not be asked for: a zip file
(``torch.save`` since 1.6) in its directory, an older one in the pickles that it begins with.

A publisher's digest is of the whole file, so a part cannot be held to it. What is checked: the server's certificate
(by https), each tensor's CRC in a zip file, every length, and that all numbers are finite.
"""

from __future__ import annotations

import io
import itertools
import logging
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vggapps.errors import WeightsError
from vggapps.weights._download import Progress, by_hand, from_any, web_page
from vggapps.weights._files import check_finite
from vggapps.weights._opening import open_weights, with_code
from vggapps.weights._ranges import NoRangesError, RemoteFile

log = logging.getLogger(__name__)

# MAGIC_NUMBER and PROTOCOL_VERSION in torch/serialization.py.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def fetch_part(urls: Sequence[str], prefix: str, whole: Path, progress: Progress | None = None) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, one request each.

    Args:
        urls: addresses of the same ``.pth`` file, tried in this order.
        prefix: ``features.``.
        whole: where the whole file would lie if it were here; for the messages.
        progress: called with the bytes of wanted tensors so far and in all.

    Returns:
        Tensors by the file's own names, contiguous, of the file's own types.

    Raises:
        NoRangesError: the whole file must be fetched.
        WeightsError: it can't be had, is damaged, has code in it, or holds nothing that begins so.
    """
    return from_any(urls, lambda url: _from_one(url, prefix, whole, progress))


def take_part(path: Path, prefix: str) -> dict[str, Tensor]:
    """The same out of a file on this machine.

    Raises:
        WeightsError: it is damaged, has code in it, or holds nothing that begins so.
    """
    found = {
        key: value.clone().contiguous() for key, value in open_weights(path).tensors.items() if key.startswith(prefix)
    }
    return _checked(found, prefix, path)


def _checked(found: dict[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    if not found:
        raise WeightsError(f"{path.name} holds no tensor whose name begins with {prefix}", "get it again")
    check_finite(path, found)
    return found


class _Storage(NamedTuple):
    """A run of numbers in the file."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


class _View(NamedTuple):
    """A tensor's place in a storage; offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Layout(NamedTuple):
    """What a file says of itself.

    Attributes:
        saved: the object, with views for tensors.
        span: first byte of what belongs to a storage, and the one after the last.
        data: its numbers' bytes, checked as far as the format allows.
    """

    saved: Any
    span: Callable[[_Storage], tuple[int, int]]
    data: Callable[[_Storage], bytes]


def _from_one(url: str, prefix: str, whole: Path, progress: Progress | None) -> dict[str, Tensor]:
    try:
        remote = RemoteFile(url, by_hand(whole))
        start = bytes(remote.window[:64])
        if start.lstrip().startswith(b"<"):
            raise web_page(url, by_hand(whole))
        layout = (_zip if start.startswith(b"PK") else _legacy)(remote, whole)
        saved = {key: value.data if isinstance(value, _Parameter) else value for key, value in layout.saved.items()}
        views = {key: value for key, value in saved.items() if key.startswith(prefix) and isinstance(value, _View)}
        storages = list(dict.fromkeys(view.storage for view in views.values()))  # each once, though tensors share it
        done, total = 0, sum(storage.nbytes for storage in storages)
        found = {}
        for storage in storages:

            def seen(come: int, before: int = done, most: int = storage.nbytes) -> None:
                if progress:
                    progress(before + min(come, most), total)

            remote.bring(*layout.span(storage), seen)
            data = bytearray(layout.data(storage))
            flat = torch.frombuffer(data, dtype=storage.dtype) if data else torch.empty(0, dtype=storage.dtype)
            for key, view in views.items():
                if view.storage == storage:  # torch refuses what lies outside
                    found[key] = flat.as_strided(view.shape, view.stride, view.offset).clone().contiguous()
            done += storage.nbytes
        return _checked({key: found[key] for key in views}, prefix, whole)
    except (WeightsError, NoRangesError):
        raise
    except Exception as error:  # what is damaged may raise anything
        log.debug("%s: %r", url, error)
        raise WeightsError(f"{url} sends a file that is cut off or damaged", by_hand(whole)) from None


def _zip(remote: RemoteFile, whole: Path) -> _Layout:
    """``NAME/data.pkl`` and one entry ``NAME/data/KEY`` a storage, not compressed."""
    archive = zipfile.ZipFile(remote)  # type: ignore[arg-type]
    entries = {entry.filename: entry for entry in archive.infolist()}
    root = next(name for name in entries if name.endswith("/data.pkl")).removesuffix("data.pkl")
    saved = _Unpickler(io.BytesIO(archive.read(f"{root}data.pkl")), whole).load()
    if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("big-endian")
    starts = sorted(entry.header_offset for entry in entries.values())
    stops = dict(itertools.pairwise([*starts, archive.start_dir]))

    def span(storage: _Storage) -> tuple[int, int]:
        entry = entries[f"{root}data/{storage.key}"]
        if (entry.file_size, entry.compress_type) != (storage.nbytes, zipfile.ZIP_STORED):
            raise ValueError(f"storage {storage.key} has {entry.file_size} bytes")
        return entry.header_offset, stops[entry.header_offset]

    return _Layout(saved, span, lambda storage: archive.read(f"{root}data/{storage.key}"))  # compares the CRC


def _legacy(remote: RemoteFile, whole: Path) -> _Layout:
    """Five pickles, then for each storage the number of its elements, 8 bytes, and the elements."""
    magic, protocol, system = (_Unpickler(remote, whole).load() for _ in range(3))
    if (magic, protocol, system["little_endian"]) != (_MAGIC, _PROTOCOL, True):
        raise ValueError("another format")
    unpickler = _Unpickler(remote, whole)
    saved, keys = unpickler.load(), _Unpickler(remote, whole).load()
    spans, stop = {}, remote.tell()
    for key in keys:
        start, stop = stop, stop + 8 + unpickler.storages[key].nbytes
        spans[key] = start, stop
    if stop > remote.size:
        raise ValueError(f"{remote.size} of {stop} bytes")

    def data(storage: _Storage) -> bytes:
        remote.seek(spans[storage.key][0])
        if int.from_bytes(remote.read(8) or b"", "little") != storage.numel:
            raise ValueError(f"storage {storage.key} has another length")
        return remote.read(storage.nbytes) or b""

    return _Layout(saved, lambda storage: spans[storage.key], data)


class _Unpickler(pickle.Unpickler):
    """Knows the few names that weights need, and gives for each a record of ours: nothing of torch is called."""

    def __init__(self, file: Any, whole: Path) -> None:
        super().__init__(file, encoding="utf-8")  # Python 2 wrote some of the published files
        self.whole = whole
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *view_and_more: _View(*view_and_more[:4]),
            ("torch._utils", "_rebuild_tensor"): lambda *view: _View(*view),  # before torch 0.4: vgg16-397923af.pth
            ("torch._utils", "_rebuild_parameter"): lambda view, *_: view,
            ("torch.nn.parameter", "Parameter"): _Parameter,  # before torch 0.4
            **{("torch", storage): dtype for storage, dtype in _DTYPES.items()},
        }
        if (module, name) not in known:
            raise with_code(self.whole, f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or view not in ([], [None]):
            raise ValueError(f"not a storage: {pid}")
        return self.storages.setdefault(key, _Storage(key, dtype, numel))


class _Parameter:
    """Made of a tensor, or empty and then given a state of five things, the first of which is the tensor."""

    data: _View | None

    def __new__(cls, data: _View | None = None, requires_grad: bool = True) -> _Parameter:
        parameter = super().__new__(cls)
        parameter.data = data
        return parameter

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) == 5:
            self.data = state[0]
