"""Moving pictures for documents: animated WebP, which browsers play where they show pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.video.staging import Staged, sink_errors

QUALITY = 55
"""libwebp's, 0..100."""


class AnimationWriter:
    """(H, W, 3) RGB pictures of one size at a steady rate -> one animated WebP, which repeats without end; under its
    final name after `close`. SettingError for another ending of the name, SinkError where it cannot be written."""

    def __init__(self, target: Path, *, frame_rate: Fraction, quality: int = QUALITY) -> None:
        if target.suffix.lower() != ".webp":
            raise SettingError(
                f"moving picture {target}", expected="a name that ends in .webp", do=f"give {target.stem}.webp"
            )
        self.staged, self._rate, self._quality = Staged(target), frame_rate, quality
        self._container: Any = None
        self._stream: Any = None
        self._frames = 0
        with sink_errors(target):  # FFmpeg would open it at the first picture
            self.staged.part.touch()

    def write(self, picture: NDArray[np.uint8]) -> None:
        import av

        with sink_errors(self.staged.target):
            if self._container is None:
                self._open(picture.shape[1], picture.shape[0])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = self._frames, 1 / self._rate
            self._frames += 1
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finishes the file. With no picture written there is none."""
        try:
            if self._container is not None:
                with sink_errors(self.staged.target):
                    self._container.mux(self._stream.encode(None))
                    self._container.close()
                self.staged.commit()
        finally:
            if not self.staged.committed:
                self.staged.discard()

    def abort(self) -> None:
        """Leaves nothing."""
        if self._container is not None:
            self._container.close()
        self.staged.discard()

    def _open(self, width: int, height: int) -> None:
        import av

        self._container = av.open(str(self.staged.part), "w", format="webp", options={"loop": "0"})
        options = {"quality": f"{self._quality}", "compression_level": "6"}
        self._stream = self._container.add_stream("libwebp_anim", rate=self._rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = 1 / self._rate
