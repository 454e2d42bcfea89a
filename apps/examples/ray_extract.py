"""Features of a folder too large for one machine, as a Ray Data job; on one machine it runs as well.

    pip install 'vggapps[ray]'
    python apps/examples/ray_extract.py photos/ features/

Ray hands out paths, and every actor has a network of its own: the pictures must lie where all machines can read them.
``features/`` becomes a folder of Parquet files with the columns path and features. What can't be read has no row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray

from vggapps.features import extract_chunks
from vggapps.image import scan_folder
from vggapps.vgg import VGG
from vggapps.weights import load_network

Batch = dict[str, Any]


class Extractor:
    """An actor: it loads the network once, and sees many batches of paths."""

    def __init__(self, make_network: Callable[[], VGG], layer: str, pool: str) -> None:
        self.network, self.layer, self.pool = make_network(), layer, pool

    def __call__(self, batch: Batch) -> Batch:
        """Paths to rows; ``workers=0``, for Ray has its own."""
        paths = list(batch["item"])
        chunks = list(extract_chunks(paths, self.network, self.layer, self.pool, workers=0))
        for chunk in chunks:
            for error in chunk.errors.values():
                print(error, file=sys.stderr)
        kept = [paths[index] for chunk in chunks for index in chunk.kept]
        return {"path": np.array(kept, dtype=object), "features": np.concatenate([chunk.rows for chunk in chunks])}


def features_of(
    paths: Sequence[str], make_network: Callable[[], VGG], layer: str, pool: str = "avg", actors: int = 1
) -> ray.data.Dataset:
    """A data set of path and features; nothing is computed until it is written or iterated."""
    return ray.data.from_items(list(paths)).map_batches(
        Extractor,
        fn_constructor_args=(make_network, layer, pool),
        batch_size=64,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )


def main(folder: str, target: str, layer: str = "pool5", pool: str = "avg") -> None:
    """Every picture below the folder."""
    paths = [str(path.resolve()) for path in scan_folder(folder).pictures]
    load = partial(load_network, layers=[layer], device="auto")
    features_of(paths, load, layer, pool).write_parquet(str(Path(target).resolve()))


if __name__ == "__main__":
    main(*sys.argv[1:])
