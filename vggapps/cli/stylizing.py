"""What style transfer and painters have in common on the command line: which results are made, and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggapps.cli.inputs import Input, Mixture, expand
from vggapps.cli.interrupt import Stop
from vggapps.cli.outputs import plan_outputs
from vggapps.cli.runs import run_each
from vggapps.cli.saving import Saving, Target

Job = tuple[Input, Mixture]
Make = Callable[[Job, Target, Stop], dict[str, Any]]


@dataclass(frozen=True)
class Order:
    """The words of a command that paints photos; see ``vggapps stylize``."""

    content: str
    styles: Sequence[str]
    output: str | None
    saving: Saving
    each_style: bool
    skip_existing: bool
    force: bool
    as_json: bool
    quiet: bool

    def run(
        self,
        mixtures: Sequence[Mixture],
        prepare: Callable[[], Make],
        *,
        protected: Iterable[str] = (),
        stem: Callable[[str], str] = lambda path: Path(path).stem,
    ) -> None:
        """Paint each photo with each mixture.

        Args:
            mixtures: of styles, one for each result of a photo.
            prepare: called after the outputs are planned; returns what makes one result.
            protected: files that are read and must not be overwritten.
            stem: of a style, for the names of results.
        """
        jobs = [(photo, mixture) for photo in expand([self.content], quiet=self.quiet) for mixture in mixtures]
        targets = plan_outputs(
            [photo for photo, _ in jobs],
            ["_by_" + "_".join(stem(style) for style, _ in mixture) for _, mixture in jobs],
            self.output,
            force=self.force,
            protected=protected,
            saving=self.saving,
            skip_existing=self.skip_existing,
            quiet=self.quiet,
        )
        run_each(jobs, targets, prepare(), as_json=self.as_json, named=lambda job: job[0].path)
