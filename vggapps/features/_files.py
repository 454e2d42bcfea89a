"""Feature files, written chunk by chunk and memory-mapped: .npy with a .json beside it, .safetensors, .parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vggapps.errors import SettingsError
from vggapps.features._describe import Descriptor

_MOST_HEADER = 100_000_000  # bytes; MAX_HEADER_SIZE in safetensors' src/tensor.rs
_EXTRACT = "vggapps extract FOLDER -o features.npy"
Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class FeatureTable:
    """Features of many pictures.

    Attributes:
        paths: of the pictures, as given.
        features: float32, (n, d); memory-mapped for .npy and .safetensors files.
        settings: how they were computed.
        failed: pictures that could not be read, and have no row.
    """

    paths: tuple[str, ...]
    features: Rows
    settings: Descriptor
    failed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        how = self.settings
        failed = f", {len(self.failed)} failed" if self.failed else ""
        rows = f"{len(self.paths)} pictures x {self.features.shape[1]} numbers"
        of = f"{how.layer} ({how.pool}) of {how.weights or how.network} at {how.size} px"
        return f"<FeatureTable: {rows}, {of}{failed}>"

    def take(self, rows: NDArray[np.int64]) -> FeatureTable:
        """A table of some of the rows, copied into memory unless all are taken."""
        if len(rows) == len(self.paths):
            return self
        return replace(self, paths=tuple(self.paths[row] for row in rows), features=self.features[rows])


def load_features(path: str | Path) -> FeatureTable:
    """Read a file written by :func:`~vggapps.features.extract_to`.

    Raises:
        SettingsError: the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    writer_of(path)
    if not path.is_file():
        raise SettingsError(f"there is no file {path}", run=_EXTRACT)
    read = {".npy": _read_npy, ".safetensors": _read_safetensors, ".parquet": _read_parquet}[path.suffix]
    try:
        paths, features, notes = read(path)
        settings = Descriptor(**notes["settings"])
    except SettingsError:
        raise
    except Exception:  # damaged files can raise anything
        raise SettingsError(f"{path} contains no features", run=_EXTRACT) from None
    return FeatureTable(tuple(paths), features, settings, tuple(notes["failed"]))


@dataclass(frozen=True, eq=False)
class Table:
    """A :class:`FeatureTable` before it is written, with its rows in one .npy file per chunk."""

    paths: Sequence[str]
    files: Sequence[Path]
    settings: Descriptor
    failed: Sequence[str]

    @property
    def numbers(self) -> int:
        """Length of a row."""
        return int(np.load(self.files[0], mmap_mode="r").shape[1])

    @property
    def notes(self) -> dict[str, Any]:
        """Metadata for JSON, without the paths."""
        return {"schema": 1, "settings": asdict(self.settings), "failed": list(self.failed)}

    def chunks(self) -> Iterator[Rows]:
        """The rows of one chunk after another."""
        return (np.load(file) for file in self.files)


def writer_of(path: Path) -> Callable[[Path, Table], None]:
    """The function that writes the format of this suffix; an error for other suffixes."""
    writers = {".npy": _write_npy, ".safetensors": _write_safetensors, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise SettingsError(f"{path.name} is not a feature file", f"use a name that ends in {', '.join(writers)}")
    if path.suffix == ".parquet":
        _pyarrow()
    return writers[path.suffix]


def notes_file(path: Path) -> Path | None:
    """The .json file beside a .npy file, with its paths and metadata; None for other formats."""
    return path.with_suffix(".json") if path.suffix == ".npy" else None


def _write_npy(path: Path, table: Table) -> None:
    with path.open("wb") as file:
        head = {"descr": "<f4", "fortran_order": False, "shape": (len(table.paths), table.numbers)}
        np.lib.format.write_array_header_1_0(file, head)  # type: ignore[no-untyped-call]
        for rows in table.chunks():
            file.write(rows.tobytes())
    notes = {**table.notes, "paths": list(table.paths)}
    path.with_suffix(".json").write_text(json.dumps(notes, indent=1), encoding="utf-8")


def _read_npy(path: Path) -> tuple[list[str], Rows, dict[str, Any]]:
    features, beside = np.lib.format.open_memmap(path, mode="r"), path.with_suffix(".json")
    if not beside.is_file():
        raise SettingsError(f"there is no {beside}, which lists the pictures of {path.name}", "keep both together")
    notes = json.loads(beside.read_text(encoding="utf-8"))
    if len(features) != len(notes["paths"]):
        raise SettingsError(f"{beside.name} is of another table than {path.name}", run=_EXTRACT)
    return notes["paths"], features, notes


def _write_safetensors(path: Path, table: Table) -> None:
    """Format: 8 bytes for the header's length, the header in JSON, the data (see Format in safetensors' README)."""
    shape = [len(table.paths), table.numbers]
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0] * shape[1]]}
    notes = {"vggapps": json.dumps(table.notes), "paths": json.dumps(table.paths)}
    header = json.dumps({"__metadata__": notes, "features": tensor}).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > _MOST_HEADER:
        raise SettingsError(f"{len(table.paths)} paths are too many for .safetensors", "write .npy or .parquet")
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for rows in table.chunks():
            file.write(rows.tobytes())


def _read_safetensors(path: Path) -> tuple[list[str], Rows, dict[str, Any]]:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        tensor, notes = header["features"], header["__metadata__"]
        features = np.memmap(path, "<f4", "r", file.tell(), tuple(tensor["shape"]))
    return json.loads(notes["paths"]), features, json.loads(notes["vggapps"])


def _write_parquet(path: Path, table: Table) -> None:
    pa, parquet = _pyarrow()
    kind = pa.list_(pa.float32(), table.numbers)
    fields = [pa.field("path", pa.string()), pa.field("features", kind)]
    schema = pa.schema(fields, metadata={"vggapps": json.dumps(table.notes)})
    first = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in table.chunks():
            values = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), table.numbers)
            names = pa.array(table.paths[first : first + len(rows)], pa.string())
            writer.write_table(pa.Table.from_arrays([names, values], schema=schema))
            first += len(rows)


def _read_parquet(path: Path) -> tuple[list[str], Rows, dict[str, Any]]:
    _, parquet = _pyarrow()
    table = parquet.read_table(path).combine_chunks()
    features = table["features"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return table["path"].to_pylist(), features, json.loads(table.schema.metadata[b"vggapps"])


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SettingsError("Parquet needs pyarrow", "use .npy", "pip install 'vggapps[parquet]'") from None
    return pyarrow, pyarrow.parquet
