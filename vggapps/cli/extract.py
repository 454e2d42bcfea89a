"""``vggapps extract``: features of pictures as a table."""

from __future__ import annotations

from pathlib import Path

from vggapps._progress import tracked
from vggapps.cli.inputs import parse_shard, paths_of, take
from vggapps.cli.options import Force, OutputFile, Pictures, Quiet, Shard, with_settings
from vggapps.cli.outcome import Failures, note, print_error_line
from vggapps.cli.outputs import plan_file
from vggapps.errors import PictureError
from vggapps.features._settings import ExtractSettings


@with_settings(ExtractSettings)
def extract(
    settings: ExtractSettings,
    pictures: Pictures,
    output: OutputFile,
    shard: Shard = "1/1",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Extract the features of pictures: the output of a layer, one row per picture.

    Folders include their subfolders. The shorter side of each picture is scaled
    to 256, and the central 224 × 224 square is used, or the sizes of the
    network's own training (--size changes both in proportion). A feature map is
    pooled over its positions: [bold]avg[/bold], [bold]max[/bold], both ([bold]avg+max[/bold]), averages
    over 1, 4 and 16 cells ([bold]pyramid[/bold]), or not at all ([bold]none[/bold]). Fully connected
    layers such as [bold]fc7[/bold] need no pooling.

    -o is a .npy file, which gets a .json file with the pictures' paths beside
    it, or a .safetensors or .parquet file, which contains both. An interrupted
    run keeps its finished parts in a folder beside the file, and the same
    command continues it. Memory does not grow with the number of pictures.

    Pictures that can't be read have no row, and the exit code is 1.

    [bold]Examples[/bold]

      vggapps extract photos/ -o features.npy

      vggapps extract photos/ --layer relu5_3 --pool avg+max -o rows.safetensors

      vggapps extract photos/ --shard 1/4 -o features-1.npy
    """
    paths = take(paths_of(pictures, quiet=quiet), parse_shard(shard))
    if not paths:
        raise PictureError(f"--shard {shard} has no pictures", "use fewer shards")

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
                print_error_line(f"{path}: {message.removeprefix(f'{Path(path).name}: ')}")
            failures.count += len(part.errors)
            resumed = part.stop if part.resumed else resumed
    except KeyboardInterrupt:
        note(f"finished parts are kept in {output}.part: run the same command to continue", quiet=False)
        raise
    rows, numbers = load_features(output).features.shape
    before = f", {resumed} pictures from an earlier run" if resumed else ""
    note(f"{output}: {rows} rows of {numbers} numbers{before}", quiet=quiet)
    failures.end()
