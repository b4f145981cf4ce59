"""The documents' pictures of measured figures."""

from __future__ import annotations

import tempfile
from pathlib import Path

from measured.figures import look_up
from measured.store import PLACE, NotMeasuredError, put, read_yaml, stored
from measured.tables import own_columns


def draw(root: Path) -> tuple[list[Path], list[str]]:
    """The pictures whose figures are known, as SVG: those drawn, and what is missing for the others.

    Each is what `--plot` of its command draws."""
    from segtween.bench.sweeps import Sweep
    from segtween.reports.tables.methods import plot_methods
    from segtween.reports.tables.plot import plot_sweep
    from segtween.reports.tables.study import Study

    drawn, missing = [], []
    for target, of in read_yaml(root / PLACE / "pictures.yaml").items():
        try:
            figures = stored(root, of["of"])["figures"]
        except NotMeasuredError as error:
            missing.append(str(error))
            continue
        with tempfile.TemporaryDirectory() as folder:
            if "sweep" in of:
                curve = look_up(figures, f"sweeps(sweep={of['sweep']})")
                plot_sweep(Sweep(curve["sweep"], curve["unit"], curve["rows"], curve["note"]), folder)
            else:
                columns = list(own_columns(figures).values())
                plot_methods(Study("methods", figures["title"], columns, figures["rows"], []), folder)
            (picture,) = Path(folder).glob("*.svg")
            put(root / target, picture.read_text(encoding="utf-8"))
        drawn.append(root / target)
    return drawn, list(dict.fromkeys(missing))
