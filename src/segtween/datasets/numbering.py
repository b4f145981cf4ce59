"""Which frames come before a frame, by the number in its name: `<city>_<sequence>_<number>_leftImg8bit.png`."""

from __future__ import annotations

import re
from pathlib import Path

SINGLE, SEQUENCE = "leftImg8bit", "leftImg8bit_sequence"
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>(_leftImg8bit)?)")


def split_number(stem: str) -> tuple[str, int] | None:
    """The recording and the number of a frame's name without its ending; None without a number."""
    match = _NUMBERED.fullmatch(stem)
    return None if match is None else (match["before"], int(match["number"]))


def frames_before(image: Path, count: int) -> list[Path] | None:
    """Where the `count` frames before `image` should lie, in order of time; they may be missing.

    Numbers count on by 1, or by 2 where a recording beside it has every second number only (CamVid at 15 Hz). A frame
    of Cityscapes' folder of single pictures has its predecessors among the sequences. None for a name without a
    number.
    """
    match = _NUMBERED.fullmatch(image.stem)
    if match is None:
        return None
    number, digits = int(match["number"]), len(match["number"])

    def at(back: int) -> Path:
        # A number below 0 stays as it is: no file has such a name.
        name = f"{match['before']}{number - back:0{digits}d}{match['after']}{image.suffix}"
        path = image.with_name(name)
        parts = [SEQUENCE if part == SINGLE else part for part in path.parts]
        return path if path.is_file() or SINGLE not in path.parts else Path(*parts)

    second = at(2).is_file() and not at(1).is_file() and not at(3).is_file()
    return [at(back * (2 if second else 1)) for back in range(count, 0, -1)]
