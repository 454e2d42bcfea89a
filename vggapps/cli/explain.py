"""``vggapps explain``: where in a picture the evidence lies for what a network says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from vggapps.cli.options import Images, Json, Quiet, Verbose, with_settings
from vggapps.cli.outputs import STREAM, expand, plan_outputs, read
from vggapps.cli.progress import Stop, silence, stoppable
from vggapps.errors import OutputExistsError, PictureError, SettingsError
from vggapps.explain.settings import ExplainSettings

if TYPE_CHECKING:
    from vggapps.explain.methods import Explanation
    from vggapps.explain.question import Watch
    from vggapps.vgg.network import VGG

    Made = tuple[str, str | bytes, str, list[Explanation]]

HELP = """
Show where in a picture the evidence lies for what a network sees there.

Writes [bold]IMAGE_why.png[/bold]: the picture, and beside it what speaks for the
likeliest class, or for what --class or --target names. IMAGE may be a
folder or a pattern.

Regions: [bold]grad-cam[/bold], quick and robust, grad-cam++, layer-cam, hires-cam.
Pixels, red for and blue against: [bold]integrated-gradients[/bold], lrp,
gradient-x-input; without sign: gradient, smoothgrad, guided-backprop,
deconvnet. By trying, slow: [bold]occlusion[/bold], rise, score-cam, ablation-cam.

Ctrl-C keeps what is done. The exit code is 1 if some of several pictures
can't be read.

[bold]Examples[/bold]

  vggapps explain cat.jpg

  vggapps explain cat.jpg --class "Egyptian cat" --method lrp --evaluate

  vggapps explain cat.jpg --target relu5_4:200 --method all -o why.png

  vggapps explain photos/ --scale common --raw maps.npz --json > maps.jsonl
"""

Name = Annotated[str | None, typer.Option("--class", metavar="NAME", help="What to look for: name, id or index.")]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="PATH", help="The file or folder/ to write; - for stdout.")
]
Raw = Annotated[str | None, typer.Option(metavar="FILE", help="Write the maps, unscaled, float32, to a .npz file.")]
Evaluate = Annotated[bool, typer.Option("--evaluate", help="Measure how faithful the maps are to the network.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files that -o and --raw name.")]


@with_settings(ExplainSettings)
def explain(  # noqa: D103 - people see HELP
    given: dict[str, Any],
    images: Images,
    name: Name = None,
    output: Output = None,
    raw: Raw = None,
    evaluate: Evaluate = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if name is not None and "target" in given:
        raise SettingsError("--class and --target both say what is explained", "leave one of them out")
    settings = ExplainSettings(**given | ({} if name is None else {"target": f"class:{name}"}))
    if output == STREAM and as_json:
        raise SettingsError("the picture and the JSON both want stdout", "give -o a file")
    if raw is not None and Path(raw).suffix != ".npz":
        raise SettingsError(f"--raw {raw} is no .npz file", "maps.npz")
    if raw is not None and Path(raw).exists() and not force:
        raise OutputExistsError(f"{raw} exists", "choose another name, or overwrite it with --force")
    paths = [path for word in images for path in expand(word)]
    targets = plan_outputs(paths, "_why", output, force=force)

    from vggapps.classify.explained import load_explained
    from vggapps.explain.report import common_scales, figure, headline, record, save_maps
    from vggapps.image import encode_picture, open_picture, save_picture

    network = load_explained(settings)
    failed: list[str] = []
    maps: dict[str, list[Explanation]] = {}
    with stoppable() as stop:
        made: Iterable[Made] = _explained(network, settings, paths, targets, stop, failed, quiet=quiet)
        scales: dict[str, float] = {}
        if settings.scale == "common":
            made = list(made)
            scales = common_scales(found for *_, found in made)
        for path, source, target, found in made:
            about = record(Path(path).name, settings, found, evaluate=evaluate)
            drawn = figure(open_picture(source), found, scales)
            if target == STREAM:
                sys.stdout.buffer.write(encode_picture(drawn, "png", settings=about))
            else:
                save_picture(drawn, target, settings=about, overwrite=True)
                facts = {"schema": 1, "path": path, "output": target, "raw": raw, **about}
                typer.echo(json.dumps(facts) if as_json else f"{target}: {headline(about)}")
            maps[path] = found if raw else []
    if raw:
        save_maps(maps, settings, raw)
    if failed:
        typer.echo(f"{len(failed)} of {len(paths)} pictures can't be read", err=True)
    sys.exit(stop.code or bool(failed))


def _explained(
    network: VGG,
    settings: ExplainSettings,
    paths: list[str],
    targets: list[str],
    stop: Stop,
    failed: list[str],
    *,
    quiet: bool,
) -> Iterator[Made]:
    """Each picture that can be read: its path, what was read, the file to write, and its explanations."""
    from vggapps.explain.report import explanations
    from vggapps.image import open_picture

    for path, target in zip(paths, targets, strict=True):
        source = read(path)
        try:
            picture = open_picture(source)
        except PictureError as error:
            if len(paths) == 1:
                raise
            typer.secho(f"error: {error}", fg="red", err=True)
            failed.append(path)
            continue
        title = "" if len(paths) == 1 else f"{Path(path).name}: "
        yield path, source, target, explanations(network, picture, settings, partial(_bar, title, quiet))
        if stop.code:
            return


def _bar(title: str, quiet: bool, method: str) -> Watch:
    """A bar for the steps of a slow method, which goes when it is through."""
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    return lambda steps: track(steps, f"{title}{method}", console=console, transient=True, disable=hidden)
