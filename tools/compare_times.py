#!/usr/bin/env python3
"""How the times of two commits compare, size by size: `python tools/compare_times.py OLD [NEW] --sizes 480x360`.

Both are checked out beside each other and label the same clip of the synthetic street on this machine, in two processes
that take turns, pass by pass, so that what else the machine does falls on both. The network ran before, once: both are
given its scores, and what that takes does not count. Of each frame the least time of all passes counts, wall clock and
CPU time of the process; given are means over frames:

    other frame           all but key frames
    key frame's extra     a key frame without its network
    bidirectional frame   any frame of the bidirectional mode, without the network

NEW is by default the working tree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from compare_commits import ROOT, Case, _loaded, _python, checked_out

FRAMES, SEED, NETWORK = 16, 3, "swiftnet-lite0.camvid"
MODES: dict[str, Case] = {"causal": {"preset": "composed"}, "bidirectional": {"bidirectional": True}}

Times = dict[str, list[list[float]]]


def main() -> int:
    if sys.argv[1:2] == ["--passes"]:
        return _passes(Path(sys.argv[2]), json.loads(sys.argv[3]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("old", help="a commit")
    parser.add_argument("new", nargs="?", help="another one; the working tree where it is left out")
    parser.add_argument("--sizes", default="480x360,1280x720,2048x1024", help="width x height, separated by commas")
    parser.add_argument("--modes", default="causal", help=f"of {', '.join(MODES)}, separated by commas (causal)")
    parser.add_argument("--rounds", type=int, default=8, help="passes of each over a clip (8)")
    parser.add_argument("--threads", type=int, default=0, help="0: every processor (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes what was measured")
    options = parser.parse_args()
    with checked_out(options.old, options.new) as (trees, place):
        rows = _compare(trees, place, options)
    if options.json is not None:
        options.json.write_text(json.dumps({**_about(options), "rows": rows}, indent=1) + "\n")
    return 0


def _about(options: argparse.Namespace) -> dict[str, Any]:
    from segtween.bench.machine import processor_name

    old, new = (_commit(name) for name in (options.old, options.new or "HEAD"))
    is_tree = {} if options.new else {"new_is": "the working tree on top of that commit"}
    machine = {"processor": processor_name(), "processors": os.cpu_count(), "python": platform.python_version()}
    return {"old": old, "new": new, **is_tree, "threads": options.threads, "rounds": options.rounds, **machine}


def _commit(name: str) -> str:
    return subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", name], check=True, capture_output=True, text=True
    ).stdout.strip()


def _compare(trees: dict[str, Path], place: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    print(f"{'':<12}{'ms':<22}{'CPU, old':>10}{'new':>9}{'new / old':>11}{'wall, old':>11}{'new':>9}{'new / old':>11}")
    for size in options.sizes.split(","):
        clip = place / size
        clip.mkdir()
        _python(trees["new"], "-c", PREPARE, str(clip), json.dumps([*map(int, size.split("x")), FRAMES, SEED, NETWORK]))
        for mode in options.modes.split(","):
            best = _turns(trees, clip, {**MODES[mode], "threads": options.threads}, options.rounds)
            for what in best["new"]:
                row: dict[str, Any] = {"size": size, "what": what}
                for k, clock in enumerate(("cpu_ms", "wall_ms")):
                    old, new = (best[side][what][k] for side in ("old", "new"))
                    row[clock] = {"old": round(old, 3), "new": round(new, 3), "ratio": round(new / old, 3)}
                rows.append(row)
                cells = "".join(
                    f"{row[c]['old']:>{w}.2f}{row[c]['new']:>9.2f}{row[c]['ratio']:>11.2f}"
                    for c, w in (("cpu_ms", 10), ("wall_ms", 11))
                )
                print(f"{size:<12}{what:<22}{cells}", flush=True)
    return rows


def _turns(trees: dict[str, Path], clip: Path, case: Case, rounds: int) -> dict[str, dict[str, list[float]]]:
    """The means of the least times, [CPU, wall], by side and by what was timed."""
    workers = {
        side: subprocess.Popen(
            [sys.executable, __file__, "--passes", str(clip), json.dumps(case)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for side, tree in trees.items()
    }
    least: dict[str, Times] = {side: {} for side in trees}
    for turn in range(rounds + 1):  # in the first loops are compiled
        for side in sorted(workers, reverse=turn % 2 == 0):
            times = _answer(workers[side])
            if turn:
                least[side] = {
                    what: [
                        [*map(min, *pair)] for pair in zip(times[what], least[side].get(what, times[what]), strict=True)
                    ]
                    for what in times
                }
    for worker in workers.values():
        worker.communicate("")
    return {
        side: {what: [sum(t[k] for t in of) / len(of) for k in (0, 1)] for what, of in times.items()}
        for side, times in least.items()
    }


def _answer(worker: subprocess.Popen[str]) -> Times:
    """One more pass."""
    assert worker.stdin is not None, "it is a pipe"
    assert worker.stdout is not None, "it is a pipe"
    worker.stdin.write("pass\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise SystemExit("a commit's process ended early: see its error above")
    times: Times = json.loads(line)
    return times


PREPARE = """
import json, sys
from pathlib import Path
import numpy as np
import segtween
from segtween.street import StreetClip
place, (width, height, frames, seed, network) = Path(sys.argv[1]), json.loads(sys.argv[2])
images = np.stack([f.rgb for f in StreetClip(seed, size_hw=(height, width), frame_rate=15, frames=frames)])
every = segtween.load(network, preset="every-frame")
np.save(place / "images.npy", images)
np.save(place / "scores.npy", np.stack([result.scores.values for result in every.stream(images)]))
"""


class _Replay:
    """A network whose scores of each frame are known; `spent` is the time that giving them took, [CPU, wall]."""

    def __init__(self, scores: Any) -> None:
        self.scores, self.index, self.spent = scores, 0, [0.0, 0.0]

    def __call__(self, rgb: Any) -> Any:  # noqa: ARG002
        began = _clocks()
        given = self.scores[self.index].copy()
        self.spent = [spent + now - then for spent, now, then in zip(self.spent, _clocks(), began, strict=True)]
        return given


def _clocks() -> tuple[float, float]:
    return time.process_time() * 1e3, time.perf_counter() * 1e3


def _passes(clip: Path, case: Case) -> int:
    """In a process of its own: for every line that comes, the times of one pass over a clip."""
    import numpy as np

    import segtween

    images, replay = np.load(clip / "images.npy"), _Replay(np.load(clip / "scores.npy"))
    seg = _loaded(segtween, replay, {**case, "labels": "camvid11"})
    for _ in sys.stdin:
        print(json.dumps(_times(seg, images, replay, is_bidirectional="bidirectional" in case)), flush=True)
    return 0


def _times(seg: Any, images: Any, replay: _Replay, *, is_bidirectional: bool) -> Times:
    def frames() -> Any:
        for replay.index, image in enumerate(images):
            yield image

    times: Times = {}
    results, replay.spent, began = seg.stream(frames()), [0.0, 0.0], _clocks()
    for result in results:
        now = _clocks()
        if not is_bidirectional and result.index:
            what = "key frame's extra" if result.is_key else "other frame"
            times.setdefault(what, []).append([b - a - s for a, b, s in zip(began, now, replay.spent, strict=True)])
            replay.spent, began = [0.0, 0.0], _clocks()
        elif not is_bidirectional:
            replay.spent, began = [0.0, 0.0], _clocks()
    if is_bidirectional:
        whole = [(b - a - s) / len(images) for a, b, s in zip(began, _clocks(), replay.spent, strict=True)]
        times["bidirectional frame"] = [whole]
    return times


if __name__ == "__main__":
    sys.exit(main())
