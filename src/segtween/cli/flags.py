"""From the library's arguments, which its errors name, to the flags of the command line."""

from __future__ import annotations

import re
import shlex

FLAGS = {
    "alpha": "--alpha",
    "async_keys": "--async-keys",
    "background": "--background",
    "budget": "--budget",
    "channels": "--channels",
    "calibrate": "--calibrate",
    "calibrate_frames": "--calibrate-frames",
    "classes": "--classes",
    "clip": "--clip",
    "crf": "--crf",
    "data_root": "--data-root",
    "device": "--device",
    "duration_seconds": "--duration",
    "edge": "--edge",
    "every": "--every",
    "fixed": "--fixed",
    "flow": "--flow",
    "flow_quality": "--flow-quality",
    "frame_rate": "--frame-rate",
    "ids": "--ids",
    "interval": "--interval",
    "intervals": "--intervals",
    "key_tta": "--key-tta",
    "label_set": "--label-set",
    "labels": "--labels",
    "least_distance": "--least-distance",
    "live": "--live",
    "map_name": "--map",
    "match": "--match",
    "max_frames": "--max-frames",
    "mean": "--mean",
    "measures": "--measures",
    "model": "--model",
    "most_distance": "--most-distance",
    "most_frames": "--most-frames",
    "network_threads": "--network-threads",
    "next_frames": "--next",
    "occlusion": "--occlusion",
    "outline": "--outline",
    "out": "--out",
    "output_kind": "--output-kind",
    "overwrite": "--overwrite",
    "palette": "--palette",
    "part": "--part",
    "precision": "--precision",
    "preset": "--preset",
    "provider": "--provider",
    "rate": "--rate",
    "refine": "--refine",
    "repeats": "--repeats",
    "report": "--report",
    "root": "--root",
    "runtime": "--runtime",
    "save": "--save",
    "scale": "--scale",
    "schedule": "--schedule",
    "seconds": "--seconds",
    "size_hw": "--input-size",
    "split": "--split",
    "start_seconds": "--start",
    "std": "--std",
    "target_ms": "--target-ms",
    "threads": "--threads",
    "threshold": "--threshold",
    "tolerance": "--tolerance",
    "compare": "--compare",
    "unknown_below": "--unknown-below",
    "weights": "--weights",
    "width": "--panel",
    "without": "--without",
}
"""Every argument that an error may name, and its flag."""

OFF = {"edge": "--no-edge", "resume": "--fresh"}
"""Arguments whose False has a flag."""

MODES = {"mode='bidirectional'": "--offline", "mode='causal'": "--online"}
"""Arguments whose values have flags of their own."""

_NAMES = "|".join(sorted({*FLAGS, *OFF}, key=len, reverse=True))
_VALUED = re.compile(
    rf"(?<![\w./-])({_NAMES})="
    r"(?:(?P<switch>True|False)\b|'(?P<text>[^']*)'|\[(?P<list>[^\]]*)\]|(?P<nothing>(?=[\s,;:.)]|$)))?"
)
_ALONE = re.compile(
    rf"(?<![\w./-])({'|'.join(name for name in FLAGS if '_' in name and name != 'label_set')})(?![\w./=-])"
)


def in_flags(text: str) -> str:
    """The line for who types commands: `overwrite=True` is `--overwrite`, `edge=False` is `--no-edge`, `threads=-1` is
    `--threads -1`, `device='cpu'` is `--device cpu`, `intervals=[0, 4]` is `--intervals 0,4`, `root=` before a space is
    `--root`, and `start_seconds` alone `--start`. Names that are also words of the language, or fields of files, count
    with their `=` only."""
    for argument, flag in MODES.items():
        text = text.replace(argument, flag)
    return _ALONE.sub(lambda match: FLAGS[match[1]], _VALUED.sub(_flag, text))


def _flag(match: re.Match[str]) -> str:
    name, switch = match[1], match["switch"]
    flag = OFF.get(name) if switch == "False" else FLAGS.get(name)
    if flag is None:
        return match[0]
    if switch or match["nothing"] is not None:
        return flag
    if match["list"] is not None:
        return f"{flag} {','.join(match['list'].split(', '))}"
    return f"{flag} " + ("" if match["text"] is None else shlex.quote(match["text"]))
