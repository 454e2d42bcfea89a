"""``vggapps probe``: what can be read off a table of features."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from vggapps.cli.options import Force, Json, Output, Quiet, Verbose, with_settings
from vggapps.cli.outcome import note, print_json
from vggapps.cli.outputs import plan_file
from vggapps.cli.probe_report import notes_on, print_report
from vggapps.cli.progress import silence
from vggapps.cli.saving import deliver
from vggapps.errors import SettingsError, in_a_line
from vggapps.features._settings import ProbeSettings

HELP = """
Learn classes from features, and measure how well that goes.

FEATURES is a table that [bold]vggapps extract[/bold] made. A picture's class is the
first folder below the one that holds them all (data/CLASS/2023/a.jpg), as for
[bold]vggapps evaluate[/bold], or stands in a table of lines file,class (--labels), with
paths relative to the table. A bare name will do where only one picture has it.

A fifth of the pictures, of each class alike, is held out, and what is printed
is measured on it, with a 95 % confidence interval. Copies of a picture (equal
rows) are all learnt or all held out, and held-out ones count once.

[bold]linear[/bold] is logistic regression, [bold]mlp[/bold] has one hidden layer, [bold]radial[/bold] has radial
basis functions (best for many classes of few pictures), [bold]knn[/bold] lets the
most similar pictures vote. L2 strength and the number of neighbours are
chosen on a fifth of the pictures that are learnt from. With -o the head is
written, with the temperature that calibrates it: fitted on the held-out
pictures; by cross-validation on all, where fewer than 50 are held out; 1
where there are fewer than 50 altogether, or hardly a mistake.

With --teacher the outputs of another network are learnt instead (logits, a
row a picture): linear is ridge regression then, and accuracy is agreement.

[bold]Examples[/bold]

  vggapps extract photos/ -o features.npy
  vggapps probe features.npy

  vggapps probe features.npy --labels labels.csv --kind mlp -o head.safetensors

  vggapps probe features.npy --teacher logits.npy --root -o head.safetensors
"""

Features = Annotated[str, typer.Argument(metavar="FEATURES", help="A table of features.", show_default=False)]


@with_settings(ProbeSettings)
def probe(  # noqa: D103 - people see HELP
    settings: ProbeSettings,
    features: Features,
    output: Output = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    labels, teacher, kind = settings.labels, settings.teacher, settings.kind
    if labels and teacher:
        raise SettingsError("--labels and --teacher are two things to learn", "name one")
    if output and kind == "knn":
        raise SettingsError("neighbours are no head that could be written", "use another --kind, or drop -o")
    read = [path for path in (features, labels, teacher) if path]
    target = plan_file(output, read, force=force, suffixes=[".safetensors"]) if output else None

    from vggapps.features._files import load_features
    from vggapps.features._heads import save_head
    from vggapps.features._probe import probe as learn
    from vggapps.features._targets import classes_of, teacher_of

    table = load_features(features)
    if teacher:
        targets, names = teacher_of(table.paths, teacher)
        source, notes = teacher, tuple[str, ...]()
    else:
        found = classes_of(table.paths, labels)
        table, targets = table.take(found.rows), found.targets
        names, source, notes = found.names, found.source, found.notes
    report, head = learn(
        table, targets, names, kind,
        test=settings.test, hidden=settings.hidden, epochs=settings.epochs, root=settings.root, seed=settings.seed,
    )  # fmt: skip
    for line in (*notes, *notes_on(report)):
        note(line, quiet=quiet)
    place = deliver(target, lambda path: save_head(path, head)) if target and head else None
    if as_json:
        about = {"features": features, "kind": kind, "classes": len(names), "names": names, "output": place}
        print_json(**about, **asdict(table.settings), **asdict(report))
        return
    print_report(report, names, in_a_line(source), kind, is_taught=teacher is not None)
    if place:
        note(f"{place}: {len(names)} classes on {table.settings.layer} of {table.settings.network}", quiet=quiet)
