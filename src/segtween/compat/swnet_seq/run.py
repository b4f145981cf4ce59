"""One run: its folder, its log, and what was asked for."""

from __future__ import annotations

import os
from typing import Any

from segtween._version import __version__
from segtween.cli.screen import progress_bar
from segtween.compat.swnet_seq.flags import Options
from segtween.compat.swnet_seq.places import Places, RunLog, command_line, places_of
from segtween.run.ending import write_json

RESULTS = "results.json"


def run(options: Options, given: list[str]) -> dict[str, Any]:
    """Train, evaluate or infer; returns the figures. Of several processes only the first evaluates and writes.

    `given` are the flags that did not keep their default. Raises SegtweenError.
    """
    first = int(os.environ.get("RANK", "0")) == 0
    places = places_of(options)
    if options.mode != "train" and not first:
        return {}
    with RunLog(places.run, silent=not first) as log:
        log.say(f"segtween {__version__}, {options.mode}: {places.run}")
        log.note(command_line())
        for name, value in options.to_json().items():
            log.note(f"--{name} {value}{'' if name in given else ' (default)'}")
        found = _of_mode(options, places, log)
        if first:
            write_json(found, places.run / RESULTS)
    return found


def _of_mode(options: Options, places: Places, log: RunLog) -> dict[str, Any]:
    if options.mode == "train":
        from segtween.compat.swnet_seq.train import train

        return train(options, places, log)
    from segtween.compat.swnet_seq.evaluate import evaluate, infer

    with progress_bar(options.mode) as progress:
        return (evaluate if options.mode == "evaluate" else infer)(options, places, log, progress)
