"""``vggapps probe``: classifiers trained on features."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from vggapps.cli.options import Force, Json, Output, Quiet, with_settings
from vggapps.cli.outcome import note, print_json
from vggapps.cli.outputs import plan_file
from vggapps.cli.reports import print_probe, probe_notes
from vggapps.cli.saving import deliver
from vggapps.errors import SettingsError, in_a_line
from vggapps.features._settings import ProbeSettings

Features = Annotated[str, typer.Argument(metavar="FEATURES", help="A table of features.", show_default=False)]


@with_settings(ProbeSettings)
def probe(
    settings: ProbeSettings,
    features: Features,
    output: Output = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier on features and measure its accuracy.

    FEATURES is a table made by [bold]vggapps extract[/bold]. The class of a picture is the
    first folder below the common one (data/CLASS/2023/a.jpg), as in
    [bold]vggapps evaluate[/bold], or is given by --labels, a table with lines file,class and
    paths relative to it. A file name is enough if it is unique.

    A stratified fifth of the pictures is held out for the printed accuracy and
    its 95 % confidence interval. Copies of a picture (equal rows) are all used
    for training or all held out, where they count once.

    [bold]linear[/bold] is logistic regression, [bold]mlp[/bold] has one hidden layer, [bold]radial[/bold] has radial
    basis functions (best for many classes with few pictures), [bold]knn[/bold] is a vote of
    the nearest neighbours. L2 strength and the number of neighbours are chosen
    on a fifth of the training pictures. -o saves the head with the temperature
    that calibrates it: fitted on the held-out pictures; with fewer than 50 of
    them by cross-validation on all pictures; 1 for fewer than 50 pictures or
    hardly any mistakes.

    --teacher trains on the logits of another network, one row per picture:
    linear is then ridge regression, and accuracy is agreement with the teacher.

    [bold]Examples[/bold]

      vggapps extract photos/ -o features.npy
      vggapps probe features.npy

      vggapps probe features.npy --labels labels.csv --kind mlp -o mlp.safetensors

      vggapps probe features.npy --teacher logits.npy --root -o head.safetensors
    """
    labels, teacher, kind = settings.labels, settings.teacher, settings.kind
    if labels and teacher:
        raise SettingsError("--labels and --teacher can't be used together", "leave one of them out")
    if output and kind == "knn":
        raise SettingsError("--kind knn has no head to save", "use another --kind, or leave out -o")
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
    for line in (*notes, *probe_notes(report)):
        note(line, quiet=quiet)
    place = deliver(target, lambda path: save_head(path, head)) if target and head else None
    if as_json:
        about = {"features": features, "kind": kind, "classes": len(names), "names": names, "output": place}
        print_json(**about, **asdict(table.settings), **asdict(report))
        return
    print_probe(report, names, in_a_line(source), kind, is_taught=teacher is not None)
    if place:
        note(f"{place}: {len(names)} classes on {table.settings.layer} of {table.settings.network}", quiet=quiet)
