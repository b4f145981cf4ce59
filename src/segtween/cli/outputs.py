"""Where figures and tables go besides the screen, and what the commands of `segtween table` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from segtween.cli import shared, texts
from segtween.cli.grouping import Without
from segtween.cli.options import DataOptions, NetworkOptions
from segtween.errors import SettingError

if TYPE_CHECKING:
    from segtween.reports.tables.conditions import Conditions
    from segtween.reports.tables.study import Study


Presets = Annotated[
    str, typer.Option(metavar="LIST", rich_help_panel="Method", help="Presets of the method, with commas.")
]


@dataclass(frozen=True)
class OutputOptions:
    """Where the table goes besides the screen."""

    out: Annotated[Path | None, shared.out_folder("Write the table there: .md, .csv and .json.")] = None
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw accuracy against speed too: .png and .svg (extra \\[figures]).")
    ] = False
    report: shared.ReportFile = None
    overwrite: shared.Overwrite = False

    PANEL: ClassVar[str] = "Output"

    def check(self, name: str) -> None:
        """Whether the files can be written: reported before anything is measured."""
        from segtween.reports.html.page import check_target
        from segtween.reports.tables.plot import FORMATS, require_matplotlib
        from segtween.reports.tables.study import FORMS, check_targets

        if self.report is not None:
            check_target(self.report, overwrite=self.overwrite)
        if self.plot:
            require_matplotlib()
            if self.out is None:
                raise SettingError("--plot without --out", expected="a folder for the plot", do="give --out tables/")
        if self.out is not None:
            forms = [*FORMS, *(f".{kind}" for kind in FORMATS if self.plot)]
            check_targets(self.out, [f"{name}{form}" for form in forms], overwrite=self.overwrite)

    def finish(self, study: Study) -> None:
        from segtween.cli.screen import show
        from segtween.reports.html.study_page import study_page
        from segtween.reports.tables.budgets import plot_budgets
        from segtween.reports.tables.methods import plot_methods
        from segtween.reports.tables.plot import plot
        from segtween.video.staging import write_text

        show(study.screen(), *study.notes, all_in="--out FOLDER")
        if self.report is not None:
            write_text(study_page(study), self.report)
        if self.out is None:
            return
        written = study.save(self.out)
        if self.plot:
            draw = {"budgets": plot_budgets, "methods": plot_methods}.get(study.name, plot)
            written += draw(study, self.out)
        show("written: " + ", ".join(str(path) for path in written))


NoPlot = Annotated[OutputOptions, Without("plot")]


@contextmanager
def measuring(
    name: str,
    output: OutputOptions,
    data: DataOptions,
    network: NetworkOptions,
    *,
    repeats: int = 1,
    clip: str = "street",
    measures: str | None = None,
) -> Iterator[Conditions]:
    """The data, opened, and how they are measured, with a bar of the progress; the output is checked before."""
    from segtween.cli.screen import progress_bar
    from segtween.reports.tables.conditions import Conditions

    output.check(name)
    with progress_bar(name) as progress:
        yield Conditions(
            data.labelled(network_labels=network.label_set),
            map_name=data.label_map,
            max_frames=data.max_frames,
            repeats=repeats,
            clip=clip,
            threads=network.threads,
            measures=texts.words(measures) or (),
            command=texts.command_line(),
            progress=progress,
        )


if TYPE_CHECKING:
    from segtween.bench.report import Report


@dataclass(frozen=True)
class ReportOutput:
    """Where the figures go besides the screen."""

    json_file: shared.Json = None
    report: shared.ReportFile = None

    def check(self) -> None:
        """Whether the files can be written: reported before anything is measured."""
        from segtween.reports.html.page import check_target
        from segtween.video.staging import check_writable

        if self.json_file is not None:
            check_writable(self.json_file)
        if self.report is not None:
            check_target(self.report)

    def finish(self, report: Report) -> None:
        from segtween.cli.screen import show
        from segtween.reports.html.bench_page import bench_page

        self.write(report.to_json(), lambda: bench_page(report, command=texts.command_line()))
        show(*report.tables(), all_in="--json FILE")

    def write(self, figures: dict[str, Any], page: Callable[[], str]) -> None:
        from segtween.run.ending import write_json
        from segtween.video.staging import write_text

        if self.json_file is not None:
            write_json(figures, self.json_file)
        if self.report is not None:
            write_text(page(), self.report)
