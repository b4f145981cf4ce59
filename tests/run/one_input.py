"""A session of one input, from parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segtween.interfaces import Engine, Sink, Source
from segtween.run.inputs import Job, Opened
from segtween.run.session import Labelling, run_one
from segtween.run.summary import Summary
from segtween.types import Method


def run_source(
    engine: Engine,
    source: Source,
    sink: Sink,
    folder: Path,
    *,
    method: Method,
    interval: int,
    saved: tuple[str, ...] = (),
    live: bool = False,
    **how: Any,
) -> Summary:
    job = Job(source.info.name, folder, lambda: Opened(source, sink))
    return run_one(engine, job, Labelling(method, interval, saved, live), **how)
