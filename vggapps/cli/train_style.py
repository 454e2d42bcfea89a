"""``vggapps train-style``: painters of one's own styles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from vggapps.cli.inputs import paths_of
from vggapps.cli.options import Force, Json, Quiet, with_settings
from vggapps.cli.outcome import print_json
from vggapps.cli.outputs import plan_file
from vggapps.cli.painter_training import watch
from vggapps.errors import SettingsError
from vggapps.painters._settings import PainterSettings
from vggapps.settings import check, setting

Styles = Annotated[
    list[str] | None,
    typer.Argument(metavar="STYLE...", help="Paintings, folders or patterns; each picture is a style of its own."),
]
Photos = Annotated[
    str, typer.Option("--photos", metavar="FOLDER|PATTERN", help="Photos to learn from, a few hundred or more.")
]
Output = Annotated[str, typer.Option("--output", "-o", metavar="NAME.safetensors", help="The painter.")]
Base = Annotated[
    str | None,
    typer.Option("--base", metavar="FILE", help="Keep the network and the styles of this painter, and add new styles."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training of the same command.")]
PreviewPhotos = Annotated[
    list[str] | None,
    typer.Option("--preview-photo", metavar="FILE", help="A photo for the previews; by default two of --photos."),
]


@dataclass(frozen=True)
class Previews:
    """Intermediate pictures."""

    preview_every: int = setting(
        500, minimum=0, metavar="N", help="Paint NAME.preview.png every N steps; 0 for none.", panel="The file"
    )

    def __post_init__(self) -> None:
        check(self)


@with_settings(PainterSettings, previews=Previews)
def train_style(
    settings: PainterSettings,
    previews: Previews,
    typed: frozenset[str],
    styles: Styles = None,
    photos: Photos = "",
    output: Output = "",
    base: Base = None,
    resume: Resume = False,
    preview_photos: PreviewPhotos = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a painter: a small network that paints photos in one pass.

    Each STYLE is a picture, and its name without the suffix is the name of the
    style. [bold]vggapps stylize --painter NAME.safetensors[/bold] uses the painter.

    It learns from any photos; their contents should be as varied as those that
    it will paint. From scratch, it takes hours on a CPU. With --base it takes a
    tenth of the steps: the network of another painter is kept, whose styles are
    painted as before.

    Every 200 steps, a checkpoint is written to NAME.safetensors.checkpoint.
    Ctrl-C stops after the present step and keeps a checkpoint, too. The same
    command with --resume goes on, to the painter of a run that never stopped.

    [bold]Examples[/bold]

      vggapps train-style waves.jpg stars.jpg --photos photos/ -o my.safetensors

      vggapps train-style a.jpg --base my.safetensors --photos p/ -o b.safetensors

      vggapps stylize town.jpg --painter my.safetensors:waves
    """
    if not styles or not photos or not output:
        hint = "vggapps train-style waves.jpg --photos photos/ -o my.safetensors"
        raise SettingsError("a style, photos and an output are needed", hint)
    if base is not None and "steps" not in typed:
        from vggapps.painters._training import default_settings

        settings = replace(settings, steps=default_settings(base).steps)
    paintings, examples = paths_of(styles, quiet=quiet), paths_of([photos], quiet=quiet)
    plan_file(output, [*paintings, *examples, *(preview_photos or [])], force=force, suffixes=[".safetensors"])
    from vggapps.painters._run import PainterRun

    run = PainterRun(paintings, examples, output, settings, base=base, resume=resume, overwrite=force)
    last, code = watch(run, previews.preview_every, preview_photos or (), replace_preview=force or resume, quiet=quiet)
    if as_json:
        print_json(
            output=None if code else output, styles=list(run.names), photos=len(run.photos), steps=last.index,
            loss=run.loss, seconds=round(last.seconds, 1), interrupted=bool(code),
        )  # fmt: skip
    elif not code:
        typer.echo(output)
    if code:
        raise SystemExit(code)
