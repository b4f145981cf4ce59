"""A file played in real time: each frame at its time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from segtween.interfaces import Source
from segtween.types import Frame


class AtItsRate:
    """A source whose frames come no sooner than their timestamps say, from the first one on.

    A live source comes at its own rate and is passed on as it is.
    """

    def __init__(self, source: Source) -> None:
        self._source, self.info = source, source.info

    def close(self) -> None:
        self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        start: float | None = None
        for frame in self._source:
            if not self.info.live:
                now, seconds = time.perf_counter(), float(frame.pts_seconds)
                start = now - seconds if start is None else start
                time.sleep(max(0.0, start + seconds - now))
            yield frame
