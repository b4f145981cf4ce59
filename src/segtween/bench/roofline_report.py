"""What a roofline report holds: the machine's two limits, the lower bounds of the stages, and the speed beside them.

Apart from `roofline`, whose compiled loops need Numba: a report can be written where there is none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from segtween.bench.report import Report
from segtween.bench.speed_report import BenchReport
from segtween.texttable import TextTable


@dataclass(frozen=True)
class Machine:
    """Measured: bytes per second between memory and the processor, float32 operations per second, by `threads`."""

    gigabytes: float
    gigaflops: float
    threads: int


@dataclass(frozen=True)
class Need:
    """What one stage must do for a frame: bytes to move, operations to do, as many as take float32's time."""

    stage: str
    frame: str
    bytes: float
    operations: float

    def bound_ms(self, machine: Machine) -> float:
        return 1e3 * max(self.bytes / (machine.gigabytes * 1e9), self.operations / (machine.gigaflops * 1e9))


@dataclass(frozen=True)
class Roofline:
    """Each stage's lower bound, `bound_ms`, and what it took, `ms`."""

    machine: Machine
    rows: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return {"machine": asdict(self.machine), "stages": self.rows}

    def table(self) -> TextTable:
        machine = self.machine
        columns = ["stage", "MB to move", "million operations", "roofline ms", "measured ms", "times the roofline"]
        rows = [
            [
                f"{row['stage']} ({row['frame']} frame)",
                f"{row['bytes'] / 1e6:.2f}",
                f"{row['operations'] / 1e6:.1f}",
                f"{row['bound_ms']:.2f}",
                f"{row['ms']:.2f}",
                f"{row['ms'] / row['bound_ms']:.1f}",
            ]
            for row in self.rows
        ]
        title = (
            f"the roofline at {machine.gigabytes:.1f} GB/s and {machine.gigaflops:.0f} float32 GFLOP/s, "
            f"both measured on {machine.threads} threads"
        )
        return TextTable(title, columns, rows)


@dataclass(frozen=True)
class RooflineReport(Report):
    """Speed, and how far the stages of its last interval are from the roofline."""

    speed: BenchReport
    roofline: Roofline

    def to_json(self) -> dict[str, Any]:
        return {**self.speed.to_json(), "roofline": self.roofline.to_json()}

    def tables(self) -> list[TextTable | str]:
        return [*self.speed.tables(), self.roofline.table()]
