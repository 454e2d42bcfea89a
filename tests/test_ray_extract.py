"""The example that extracts features as a Ray Data job."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vggapps.features._describe import extract_chunks
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan


@pytest.mark.filterwarnings("ignore")  # Ray deprecates what it calls itself
def test_the_ray_job_has_the_rows_of_extract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setenv("HOME", str(tmp_path))  # it keeps a key there
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    file = Path(__file__).parents[1] / "apps" / "examples" / "ray_extract.py"
    spec = importlib.util.spec_from_file_location("ray_extract", file)
    assert spec
    assert spec.loader
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    monkeypatch.setitem(sys.modules, "ray_extract", job)
    ray.cloudpickle.register_pickle_by_value(job)
    generator = np.random.default_rng(0)
    paths = [str(tmp_path / f"{number}.png") for number in range(12)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (40, 44, 3), np.uint8)).save(path)
    network = initialize(VGG(Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,))), head="none")).freeze()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        found = {row["path"]: row["features"] for row in job.features_of(paths, lambda: network, "pool4").take_all()}
    finally:
        ray.shutdown()
    rows = np.concatenate([chunk.rows for chunk in extract_chunks(paths, network, "pool4", workers=0)])
    np.testing.assert_allclose(np.stack([found[path] for path in paths]), rows, rtol=1e-5)
