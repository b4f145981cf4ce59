"""From the library's arguments, which its errors name, to the flags of the command line."""

from __future__ import annotations

import re

FLAGS = {
    "start_seconds": "--start",
    "duration_seconds": "--duration",
    "frame_rate": "--frame-rate",
    "overwrite": "--overwrite",
    "save": "--save",
    "ids": "--ids",
    "threads": "--threads",
    "next_frames": "--next",
    "compare": "--beside",
}
"""Every argument that an error may name, and its flag."""

_VALUED = re.compile(rf"(?<![\w./-])({'|'.join(FLAGS)})=")
_ALONE = re.compile(rf"(?<![\w./-])({'|'.join(name for name in FLAGS if '_' in name)})(?![\w./=-])")


def in_flags(text: str) -> str:
    """The line for who types commands: `overwrite=True` is `--overwrite`, `threads=-1` is `--threads -1`, and
    `start_seconds` alone `--start`. Names that are also words of the language count with their `=` only."""
    switched = re.sub(r"(?<![\w./-])overwrite=True(?!\w)", FLAGS["overwrite"], text)
    valued = _VALUED.sub(lambda match: f"{FLAGS[match[1]]} ", switched)
    return _ALONE.sub(lambda match: FLAGS[match[1]], valued)
