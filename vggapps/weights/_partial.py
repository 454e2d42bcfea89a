"""Downloading some tensors of a ``.pth`` file without the rest.

The convolutions of torchvision's networks are not published separately, and nine tenths of a file are fully connected
layers. timm's safetensors files of VGG would be simpler to read in parts, but their publisher states no digest, and
there are none of AlexNet and SqueezeNet.

Both of torch's formats have an index of the storages: a zip file (``torch.save`` since 1.6) in the directory at its
end, an older file in the pickles at its start.

The publisher's digest is of the whole file, so it cannot verify a part. Checked are: the server's certificate (https),
each tensor's CRC in a zip file, all lengths, and that all values are finite.
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
from vggapps.weights._download import Progress, manual_install, try_urls, web_page_error
from vggapps.weights._files import check_finite
from vggapps.weights._opening import code_error, open_weights
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
    """Download the tensors whose names start with a prefix, one request each.

    Args:
        urls: mirrors of the ``.pth`` file, tried in this order.
        prefix: ``features.``.
        whole: path of the whole file in the cache, for messages.
        progress: called with the received bytes and the total.

    Returns:
        Contiguous tensors by the file's names, in the file's dtypes.

    Raises:
        NoRangesError: the server sends whole files only.
        WeightsError: the file is not available, damaged, has code in it, or no such tensors.
    """
    return try_urls(urls, lambda url: _from_one(url, prefix, whole, progress))


def take_part(path: Path, prefix: str) -> dict[str, Tensor]:
    """As :func:`fetch_part`, from a file on this machine."""
    found = {
        key: value.clone().contiguous() for key, value in open_weights(path).tensors.items() if key.startswith(prefix)
    }
    return _checked(found, prefix, path)


def _checked(found: dict[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    if not found:
        raise WeightsError(f"{path.name} has no tensor whose name starts with {prefix}", "download it again")
    check_finite(path, found)
    return found


class _Storage(NamedTuple):
    """A storage in the file."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


class _View(NamedTuple):
    """A tensor in a storage; offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Layout(NamedTuple):
    """The index of a file.

    Attributes:
        saved: the saved object, with views for tensors.
        span: start and end of a storage's bytes in the file.
        data: the checked bytes of a storage's elements.
    """

    saved: Any
    span: Callable[[_Storage], tuple[int, int]]
    data: Callable[[_Storage], bytes]


def _from_one(url: str, prefix: str, whole: Path, progress: Progress | None) -> dict[str, Tensor]:
    try:
        remote = RemoteFile(url, manual_install(whole))
        start = bytes(remote.window[:64])
        if start.lstrip().startswith(b"<"):
            raise web_page_error(url, manual_install(whole))
        layout = (_zip if start.startswith(b"PK") else _legacy)(remote, whole)
        saved = {key: value.data if isinstance(value, _Parameter) else value for key, value in layout.saved.items()}
        views = {key: value for key, value in saved.items() if key.startswith(prefix) and isinstance(value, _View)}
        storages = list(dict.fromkeys(view.storage for view in views.values()))  # shared storages once
        done, total = 0, sum(storage.nbytes for storage in storages)
        found = {}
        for storage in storages:

            def report(received: int, before: int = done, most: int = storage.nbytes) -> None:
                if progress:
                    progress(before + min(received, most), total)

            remote.load_window(*layout.span(storage), report)
            data = bytearray(layout.data(storage))
            flat = torch.frombuffer(data, dtype=storage.dtype) if data else torch.empty(0, dtype=storage.dtype)
            for key, view in views.items():
                if view.storage == storage:  # torch checks the bounds
                    found[key] = flat.as_strided(view.shape, view.stride, view.offset).clone().contiguous()
            done += storage.nbytes
        return _checked({key: found[key] for key in views}, prefix, whole)
    except (WeightsError, NoRangesError):
        raise
    except Exception as error:  # damaged files raise many types
        log.debug("%s: %r", url, error)
        raise WeightsError(f"{url} sends a file that is truncated or damaged", manual_install(whole)) from None


def _zip(remote: RemoteFile, whole: Path) -> _Layout:
    """``NAME/data.pkl``, and for each storage an uncompressed entry ``NAME/data/KEY``."""
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

    return _Layout(saved, span, lambda storage: archive.read(f"{root}data/{storage.key}"))  # checks the CRC


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
    """Accepts only the names that weights need, and replaces them by records: nothing of torch is called."""

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
            raise code_error(self.whole, f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or view not in ([], [None]):
            raise ValueError(f"not a storage: {pid}")
        return self.storages.setdefault(key, _Storage(key, dtype, numel))


class _Parameter:
    """A Parameter with its tensor as an argument, or as the first of a state of five."""

    data: _View | None

    def __new__(cls, data: _View | None = None, requires_grad: bool = True) -> _Parameter:
        parameter = super().__new__(cls)
        parameter.data = data
        return parameter

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) == 5:
            self.data = state[0]
