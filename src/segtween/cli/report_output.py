"""Where the figures of `segtween bench` and `segtween evaluate` go besides the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segtween.cli import shared, texts

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
