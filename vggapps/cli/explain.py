"""``vggapps explain``: saliency and attribution maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from vggapps.cli.explained import Explained, explain_each
from vggapps.cli.inputs import expand
from vggapps.cli.interrupt import stoppable
from vggapps.cli.options import Force, Images, Json, Output, Quiet, Recorded, SkipExisting, with_settings
from vggapps.cli.outcome import Failures, print_json
from vggapps.cli.outputs import check_stdout, keep_planned, plan_distinct, plan_file, plan_outputs
from vggapps.cli.saving import deliver, deliver_picture
from vggapps.errors import SettingsError
from vggapps.explanation._settings import ExplainSettings

if TYPE_CHECKING:
    from vggapps.explanation._methods import Explanation

Name = Annotated[
    str | None, typer.Option("--class", metavar="NAME", help="Class to explain: name, WordNet id or index.")
]
Raw = Annotated[str | None, typer.Option(metavar="FILE", help="Write the unscaled float32 maps to a .npz file.")]
Evaluate = Annotated[bool, typer.Option("--evaluate", help="Measure the faithfulness of the maps.")]
NoCaption = Annotated[bool, typer.Option("--no-caption", help="Omit the caption with class, method and colour scale.")]


@with_settings(ExplainSettings)
def explain(
    settings: ExplainSettings,
    images: Images,
    name: Name = None,
    output: Output = None,
    raw: Raw = None,
    evaluate: Evaluate = False,
    no_caption: NoCaption = False,
    recorded: Recorded = None,
    skip_existing: SkipExisting = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the evidence in a picture for what a network predicts.

    Writes [bold]IMAGE_why.png[/bold], the picture beside heat maps of the evidence for its
    class by [bold]vggapps classify[/bold], or for --class or --target. The whole picture is
    explained here, while classify uses its centre; if the whole picture has
    another most probable class, it is printed, too. IMAGE may be a folder or a
    pattern.

    Regions: [bold]grad-cam[/bold], fast and robust, grad-cam++, layer-cam, hires-cam.
    Pixels, red for and blue against: [bold]integrated-gradients[/bold], lrp,
    gradient-x-input; unsigned: gradient, smoothgrad, guided-backprop, deconvnet.
    Perturbation, slow: [bold]occlusion[/bold], rise, score-cam, ablation-cam.

    Ctrl-C keeps finished pictures. The exit code is 1 if some of several
    pictures can't be read.

    [bold]Examples[/bold]

      vggapps explain cat.jpg

      vggapps explain cat.jpg --class "Egyptian cat" --method lrp --evaluate

      vggapps explain cat.jpg --target relu5_4:200 --method all -o why.png

      vggapps explain photos/ --scale common --raw maps.npz --json > maps.jsonl
    """
    if name is not None:
        if settings.target is not None and not recorded:
            raise SettingsError("--class and --target can't be used together", "leave one of them out")
        settings = replace(settings, target=f"class:{name}")
    check_stdout(output, as_json=as_json)
    photos = expand(images, quiet=quiet)
    maps_file = plan_file(raw, [one.path for one in photos], force=force, suffixes=[".npz"]) if raw else None
    planned = plan_outputs(photos, "_why", output, force=force, skip_existing=skip_existing, quiet=quiet)
    plan_distinct(*planned, maps_file)
    photos, targets = keep_planned(photos, planned)

    from vggapps.explanation._question import load_explained
    from vggapps.explanation._report import common_scales, explanation_record, figure, headline, save_maps
    from vggapps.image._recipe import identify_files

    used = identify_files(settings)
    network, failures = load_explained(settings), Failures(len(photos))
    maps: dict[str, list[Explanation]] = {}
    with stoppable() as stop:
        made: Iterable[Explained] = explain_each(network, settings, photos, targets, stop, failures, quiet=quiet)
        scales: dict[str, float] = {}
        if settings.scale == "common":
            made = list(made)
            scales = common_scales(one.found for one in made)
        for one in made:
            about = explanation_record(
                {"images": [one.identity], **used}, settings, one.found, evaluate=evaluate, classified=one.classified,
                captioned=not no_caption,
            )  # fmt: skip
            place = deliver_picture(one.target, figure(one.picture, one.found, scales, captioned=not no_caption), about)
            if as_json:
                print_json(path=one.path, output=place, raw=raw, **about)
            elif not one.target.is_stream:
                typer.echo(f"{place}: {headline(about)}")
            maps[one.path] = one.found if raw else []
    if maps_file:
        deliver(maps_file, partial(save_maps, maps, settings))
    failures.end(stop.code)
