#!/usr/bin/env python3
"""Whether two commits give the same labels, and how their times compare: `python tools/compare_commits.py OLD [NEW]`.

Both are checked out beside each other and label the same frames on this machine, case by case, taking turns. The
frames are two drives through the synthetic street, one after the other, so that there is a scene cut; OLD renders them
once. Scores are those of a function of colours, which needs no network, but in the cases that try a runtime.

Causal labels have to be identical; of the bidirectional mode, whose sums may be made in another order when a formula
moves, at most 0.01% of the pixels may differ. NEW is by default the working tree. Exits with 1 where labels differ by
more.

A case is a dictionary of arguments of `segtween.load` in the newest words; where a commit does not know a word yet,
those of `SPELLINGS` are tried one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FRAMES, SIZE_HW, SEEDS = 24, (240, 320), (3, 8)
ALLOWED_BIDIRECTIONAL = 1e-4

Case = dict[str, Any]
CASES: dict[str, Case] = {
    "every frame": {"plain": True},
    "composed": {},
    "composed, every 10th": {"interval": 9},
    "composed, fine flow": {"flow_quality": "fine"},
    "composed, no flow": {"flow": "zero"},
    "composed, no history": {"history_weight": 0.0},
    "composed, one thread": {"threads": 1},
    "blend": {"preset": "blend"},
    "warp": {"preset": "warp"},
    "swnet-seq": {"preset": "swnet-seq"},
    "swnet-seq, no edge": {"preset": "swnet-seq", "edge": False},
    "delayed": {"delay": 2},
    "adaptive": {"schedule": "adaptive"},
    "several streams": {"streams": 2},
    "several streams, delayed": {"streams": 2, "delay": 2},
    "bidirectional": {"bidirectional": True},
    "bidirectional, every 10th": {"bidirectional": True, "interval": 9},
    "device twin": {"device": "torch-cpu"},
    "device twin, blend": {"device": "torch-cpu", "preset": "blend"},
    "OpenVINO": {"model": "swiftnet-lite0.camvid"},
    "OpenVINO, bidirectional": {"model": "swiftnet-lite0.camvid", "bidirectional": True},
    "OpenVINO, at scale 0.5": {"model": "swiftnet-lite0.camvid", "scale": 0.5},
    "ONNX Runtime": {"model": "swiftnet-lite0.camvid", "runtime": "onnxruntime"},
}
"""What is compared. `plain` is the network on every frame; of several `streams` the second goes backwards."""

SPELLINGS: dict[str, list[Case]] = {
    "composed": [{"preset": "composed"}, {"preset": "path"}],
    "flow_quality": [{"flow_quality": ...}, {"flow_effort": ...}],
    "delay": [{"async_keys": ...}, {"late": ...}],
    "bidirectional": [{"mode": "bidirectional"}, {"offline": True}],
}
"""What a word of a case is called, newest first; `...` stands for its value."""


def main() -> int:
    if sys.argv[1:2] == ["--label"]:
        return _label(*map(Path, sys.argv[2:4]), json.loads(sys.argv[4]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("old", help="a commit")
    parser.add_argument("new", nargs="?", help="another one; the working tree where it is left out")
    parser.add_argument("--only", metavar="WORD", default="", help="cases whose name holds this word")
    parser.add_argument("--rounds", type=int, default=2, help="how often both take turns at each case (2)")
    options = parser.parse_args()
    with checked_out(options.old, options.new) as (trees, place):
        return _compare(trees, place, options.only, options.rounds)


@contextmanager
def checked_out(old: str, new: str | None) -> Iterator[tuple[dict[str, Path], Path]]:
    """The trees of both commits, `new` None being the working tree, and a folder; gone afterwards but that tree."""
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        place = Path(folder)
        trees = {"old": _checkout(old, place / "old")}
        trees["new"] = ROOT if new is None else _checkout(new, place / "new")
        try:
            yield trees, place
        finally:
            for tree in trees.values():
                if tree != ROOT:
                    subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=False)


def _checkout(commit: str, place: Path) -> Path:
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", place, commit], check=True)
    return place


def _compare(trees: dict[str, Path], place: Path, only: str, rounds: int) -> int:
    import numpy as np

    frames = place / "frames.npy"
    _python(trees["old"], "-c", RENDER, str(frames), json.dumps([SEEDS, SIZE_HW, FRAMES // len(SEEDS)]))
    failed = []
    print(f"{'case':<28}{'pixels that differ':>20}{'ms per frame, old':>20}{'new':>8}{'new / old':>11}")
    for name, case in CASES.items():
        if only not in name:
            continue
        times: dict[str, list[float]] = {side: [] for side in trees}
        labels = {}
        for turn in range(rounds):
            for side in sorted(trees, reverse=turn % 2 == 0):
                out = place / f"{side}.npz"
                _python(trees[side], __file__, "--label", str(frames), str(out), json.dumps(case))
                with np.load(out) as stored:
                    labels[side] = stored["labels"]
                    times[side].append(float(stored["ms"]))
        share = 1.0 if labels["old"].shape != labels["new"].shape else float((labels["old"] != labels["new"]).mean())
        old, new = (float(np.median(times[side])) for side in ("old", "new"))
        is_wrong = share > (ALLOWED_BIDIRECTIONAL if case.get("bidirectional") else 0)
        failed += [name] if is_wrong else []
        print(f"{name:<28}{share:>20.4%}{old:>20.2f}{new:>8.2f}{new / old:>11.2f}{'  DIFFERENT' if is_wrong else ''}")
    print(f"{len(failed)} cases differ: {', '.join(failed)}" if failed else "all labels as before")
    return bool(failed)


def _python(tree: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, *arguments], check=True, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree / "src")}
    )


RENDER = """
import json, sys
import numpy as np
try:
    from segtween.street import StreetClip
except ImportError:
    from segtween.datasets.street import StreetClip
seeds, size_hw, frames = json.loads(sys.argv[2])
clips = [StreetClip(seed, size_hw=tuple(size_hw), frame_rate=15, frames=frames) for seed in seeds]
np.save(sys.argv[1], np.stack([frame.rgb for clip in clips for frame in clip]))
"""


def by_colour(rgb: Any) -> Any:
    """Scores (11, H / 4, W / 4): how near the mean colour of each cell is to that of each class."""
    import numpy as np

    h, w = rgb.shape[0] // 4, rgb.shape[1] // 4
    cells = rgb[: 4 * h, : 4 * w].reshape(h, 4, w, 4, 3).mean(axis=(1, 3), dtype=np.float32)
    centres = np.random.default_rng(0).integers(0, 256, (11, 3)).astype(np.float32)
    return (-np.abs(cells - centres[:, None, None]).sum(-1) / 16).astype(np.float32)


def _label(frames: Path, out: Path, case: Case) -> int:
    """In a process of its own: the labels of all frames, and the mean time of one."""
    import numpy as np

    import segtween

    wanted = {"preset": "composed", **case}
    is_plain, model, streams = wanted.pop("plain", False), wanted.pop("model", by_colour), wanted.pop("streams", 0)
    if model is by_colour:
        wanted["labels"] = "camvid11"
    seg = _loaded(segtween, model, wanted)
    if is_plain:
        seg = seg.on_every_frame() if hasattr(seg, "on_every_frame") else _plain(seg)
    images = np.load(frames)

    def run() -> Any:
        if streams:
            ticks = seg.streams(streams).stream(images, *[images[::-1]] * (streams - 1))
            return np.stack([result.labels for tick in ticks for result in tick])
        return np.stack([result.labels for result in seg.stream(images)])

    run()  # kernels and the network are compiled
    began = time.perf_counter()
    labels = run()
    np.savez(out, labels=labels, ms=(time.perf_counter() - began) * 1e3 / len(images))
    return 0


def _loaded(segtween: Any, model: Any, wanted: Case) -> Any:
    """`segtween.load` with the words that this commit knows."""
    choices: list[Case] = [{}]
    for key, value in wanted.items():
        known = SPELLINGS.get(str(value) if key == "preset" else key, [{key: value}])
        choices = [{**a, **{k: value if v is ... else v for k, v in b.items()}} for a in choices for b in known]
    if "labels" in wanted:
        choices = [{(new if k == "labels" else k): v for k, v in c.items()} for c in choices for new in LABEL_SET]
    for choice in choices[:-1]:
        try:
            return segtween.load(model, **choice)
        except (segtween.SegtweenError, TypeError):
            continue
    return segtween.load(model, **choices[-1])


LABEL_SET = ("label_set", "labels")


def _plain(seg: Any) -> Any:
    return type(seg)(seg._segmenter, seg.settings, threads=seg.threads, plain=True)


if __name__ == "__main__":
    sys.exit(main())
