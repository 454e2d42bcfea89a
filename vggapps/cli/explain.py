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
from rich.markup import escape
from rich.progress import track

from vggapps.cli.inputs import Input, expand, read
from vggapps.cli.options import Images, Json, Quiet, SkipExisting, Verbose, with_settings
from vggapps.cli.outcome import failure, tell_in_passing
from vggapps.cli.outputs import check_stdout, plan_distinct, plan_file, plan_outputs
from vggapps.cli.progress import Stop, silence, stoppable
from vggapps.cli.saving import Target, deliver, deliver_picture
from vggapps.errors import SettingsError
from vggapps.explanation._settings import ExplainSettings

if TYPE_CHECKING:
    from vggapps.explanation._methods import Explanation
    from vggapps.explanation._question import Watch
    from vggapps.explanation._report import Classified
    from vggapps.vgg._network import VGG

    Made = tuple[str, str | bytes, Target, Classified | None, list[Explanation]]

HELP = """
Show where in a picture the evidence lies for what a network sees there.

Writes [bold]IMAGE_why.png[/bold]: the picture, and beside it what speaks for the
class that [bold]vggapps classify[/bold] names, or for what --class or --target names.
The picture is seen whole here and classify looks at its middle: if another
class is the likeliest in the whole, that is told. IMAGE may be a folder
or a pattern.

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
NoCaption = Annotated[
    bool, typer.Option("--no-caption", help="Leave out the strip that says class, method and what colours mean.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files that -o and --raw name.")]


@with_settings(ExplainSettings)
def explain(  # noqa: D103 - people see HELP
    given: dict[str, Any],
    images: Images,
    name: Name = None,
    output: Output = None,
    raw: Raw = None,
    evaluate: Evaluate = False,
    no_caption: NoCaption = False,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if name is not None and "target" in given:
        raise SettingsError("--class and --target both say what is explained", "leave one of them out")
    settings = ExplainSettings(**given | ({} if name is None else {"target": f"class:{name}"}))
    check_stdout(output, as_json=as_json)
    photos = expand(images, quiet=quiet)
    paths = [photo.path for photo in photos]
    maps_file = plan_file(raw, paths, force=force, suffixes=[".npz"]) if raw is not None else None
    planned = plan_outputs(photos, "_why", output, force=force, skip_existing=skip_existing, quiet=quiet)
    plan_distinct(*planned, maps_file)
    wanted = [(photo, target) for photo, target in zip(photos, planned, strict=True) if target]

    from vggapps.explanation._question import load_explained
    from vggapps.explanation._report import common_scales, figure, headline, open_explained, record, save_maps

    network = load_explained(settings)
    failed: list[str] = []
    maps: dict[str, list[Explanation]] = {}
    with stoppable() as stop:
        made: Iterable[Made] = _explained(network, settings, wanted, stop, failed, quiet=quiet)
        scales: dict[str, float] = {}
        if settings.scale == "common":
            made = list(made)
            scales = common_scales(found for *_, found in made)
        for path, source, target, classified, found in made:
            about = record(Path(path).name, settings, found, evaluate=evaluate, classified=classified)
            drawn = figure(open_explained(source, settings, Path(path).name), found, scales, captioned=not no_caption)
            place = deliver_picture(target, drawn, about)
            if not target.is_stream:
                facts = {"schema": 1, "path": path, "output": place, "raw": raw, **about}
                typer.echo(json.dumps(facts) if as_json else f"{place}: {headline(about)}")
            maps[path] = found if raw else []
    if maps_file:
        deliver(maps_file, partial(save_maps, maps, settings))
    if failed:
        typer.echo(f"{len(failed)} of {len(wanted)} pictures failed", err=True)
    sys.exit(stop.code or bool(failed))


def _explained(
    network: VGG,
    settings: ExplainSettings,
    wanted: list[tuple[Input, Target]],
    stop: Stop,
    failed: list[str],
    *,
    quiet: bool,
) -> Iterator[Made]:
    """Each picture that can be read: its path, what was read, the file to write, and its explanations."""
    from vggapps.classification._explained import classified
    from vggapps.explanation._report import explanations, open_explained

    for (path, *_), target in wanted:
        title = "" if len(wanted) == 1 else f"{Path(path).name}: "
        try:
            source = read(path)
            picture = open_explained(source, settings, Path(path).name)
            named = None if settings.target else classified([network], picture)
            found = explanations(network, picture, settings, partial(_bar, title, quiet), named)
        except Exception as error:
            problem = failure(error, path)
            if len(wanted) == 1:
                raise
            tell_in_passing(problem)
            failed.append(path)
            continue
        yield path, source, target, named, found
        if stop.code:
            return


def _bar(title: str, quiet: bool, method: str) -> Watch:
    """A bar for the steps of a slow method, which goes when it is through."""
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    return lambda steps: track(steps, escape(f"{title}{method}"), console=console, transient=True, disable=hidden)
