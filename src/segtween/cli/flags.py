"""From the library's arguments, which its errors name, to the flags of the command line."""

from __future__ import annotations

import re
import shlex

_SAME = (
    "alpha", "async_keys", "background", "budget", "calibrate", "calibrate_frames", "channels", "classes", "clip",
    "compare", "crf", "data_root", "device", "edge", "every", "fixed", "flow", "flow_quality", "frame_rate", "ids",
    "interval", "intervals", "key_tta", "label_set", "labels", "least_distance", "live", "match", "max_frames", "mean",
    "measures", "model", "most_distance", "most_frames", "network_threads", "occlusion", "out", "outline",
    "output_kind", "overwrite", "palette", "part", "precision", "preset", "provider", "rate", "refine", "repeats",
    "report", "root", "runtime", "save", "scale", "schedule", "seconds", "split", "starts", "std", "target_ms",
    "threads", "threshold", "tolerance", "unknown_below", "weights", "without",
)  # fmt: skip
FLAGS = {name: f"--{name.replace('_', '-')}" for name in _SAME} | {
    "duration_seconds": "--duration",
    "map_name": "--map",
    "next_frames": "--next",
    "size_hw": "--input-size",
    "start_seconds": "--start",
    "width": "--panel",
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
