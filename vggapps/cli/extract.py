"""``vggapps extract``: pictures to a table of features."""

from __future__ import annotations

from pathlib import Path

from vggapps._progress import tracked
from vggapps.cli.inputs import parse_shard, paths_of, take
from vggapps.cli.options import Force, OutputFile, Pictures, Quiet, Shard, Verbose, with_settings
from vggapps.cli.outcome import Failures, note, tell_in_passing
from vggapps.cli.outputs import plan_file
from vggapps.cli.progress import silence
from vggapps.errors import PictureError
from vggapps.features._settings import ExtractSettings

HELP = """
Turn pictures into rows of numbers: the output of one layer, for each.

A folder means the pictures in it and in its subfolders. Of each picture the
shorter side is scaled to 256 and the square of 224 in the middle is taken
(--size other than 224 changes both alike). A map is pooled over its
positions: [bold]avg[/bold], [bold]max[/bold], both ([bold]avg+max[/bold]), averages of 1, 4 and 16
cells ([bold]pyramid[/bold]), or not ([bold]none[/bold]). Layers such as [bold]fc7[/bold] are rows already.

-o names a .npy file, beside which a .json file names the pictures, or a
.safetensors or .parquet file, which holds both. Unfinished work is kept in a
folder beside it: the same command continues after whatever stopped it. Any
number of pictures fits: they pass through memory a few at a time.

Pictures that can't be read have no row; the exit code is 1 then.

[bold]Examples[/bold]

  vggapps extract photos/ -o features.npy

  vggapps extract photos/ --layer relu5_3 --pool avg+max --backbone vgg16 -o features.safetensors

  vggapps extract photos/ --shard 1/4 -o features-1.npy
"""


@with_settings(ExtractSettings)
def extract(  # noqa: D103 - people see HELP
    settings: ExtractSettings,
    pictures: Pictures,
    output: OutputFile,
    shard: Shard = "1/1",
    force: Force = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    paths = take(paths_of(pictures, quiet=quiet), parse_shard(shard))
    if not paths:
        raise PictureError(f"no picture falls to --shard {shard}", "make fewer shards")

    plan_file(output, paths, force=force)

    from vggapps.features._extraction import extract_to
    from vggapps.features._files import load_features
    from vggapps.weights._backbone import load_network

    network = load_network(settings.backbone, layers=[settings.layer], device=settings.device)
    failures, resumed = Failures(len(paths)), 0
    parts = extract_to(output, paths, network, settings.layer, settings.pool, size=settings.size, force=force)
    try:
        for part in tracked(parts, "extracting", len(paths), quiet=quiet, done=lambda part: part.stop):
            for path, message in part.errors:
                tell_in_passing(f"{path}: {message.removeprefix(f'{Path(path).name}: ')}")
            failures.count += len(part.errors)
            resumed = part.stop if part.resumed else resumed
    except KeyboardInterrupt:
        note(f"what is done is kept in {output}.part: the same command continues", quiet=False)
        raise
    rows, numbers = load_features(output).features.shape
    before = f", {resumed} pictures of them by an earlier run" if resumed else ""
    note(f"{output}: {rows} rows of {numbers} numbers{before}", quiet=quiet)
    failures.end()
