"""The motion vectors of a video's coding, as its source gives them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import panning, textured
from segtween.video import open_source

SIZE_HW = (96, 160)


def write(path: Path, frames: Sequence[NDArray[np.uint8]], codec: str = "libx264", **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return path


def median_motion(frame: Any) -> NDArray[np.float64]:
    """Weighted by area."""
    areas = frame.vectors.blocks[:, 2] * frame.vectors.blocks[:, 3] // 16
    return np.median(np.repeat(frame.vectors.flow, areas, axis=0), axis=0)


CAMERA = {"tune": "zerolatency", "refs": "1"}


@pytest.mark.parametrize(("codec", "options"), [("libx264", CAMERA), ("mpeg4", {}), ("mpeg2video", {})])
def test_vectors_lead_to_the_frame_before(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    path = write(tmp_path / "v.mkv", panning(8, SIZE_HW, step=4, cell=12), codec, **options)
    frames = list(open_source(path, motion_vectors=True))
    assert frames[0].vectors is None
    told = [frame for frame in frames if frame.vectors is not None]
    assert len(told) >= 6  # the decoder of MPEG-2 tells nothing of the last
    for frame in told:
        assert frame.vectors.blocks.shape == (len(frame.vectors.flow), 4)
        np.testing.assert_allclose(median_motion(frame), [4, 0], atol=0.3)


def test_b_pictures_and_those_after_them_have_none(tmp_path: Path) -> None:
    """A decoder does not say which picture they were predicted from."""
    path = write(tmp_path / "v.mp4", panning(16, SIZE_HW, step=4, cell=12), bf="2", **{"b-adapt": "0", "refs": "1"})
    with av.open(str(path)) as container:
        kinds = [int(picture.pict_type) for picture in container.decode(video=0)]
    assert 3 in kinds
    told = [frame.vectors is not None for frame in open_source(path, motion_vectors=True)]
    assert told[1:] == [(before, kind) in ((1, 2), (2, 2)) for before, kind in pairwise(kinds)]
    assert not told[0]


def test_none_without_being_asked_for_and_of_pictures_that_have_none(tmp_path: Path) -> None:
    clip = panning(4, SIZE_HW, step=4, cell=12)
    path = write(tmp_path / "v.mp4", clip, **CAMERA)
    assert all(frame.vectors is None for frame in open_source(path))
    still = write(tmp_path / "v.avi", clip, "mjpeg")
    assert all(frame.vectors is None for frame in open_source(still, motion_vectors=True))


def test_a_scene_cut_has_none_or_too_few(tmp_path: Path) -> None:
    clip = [*panning(4, SIZE_HW, step=4, cell=12), 255 - textured(SIZE_HW, cell=9, seed=5)]
    path = write(tmp_path / "v.mp4", clip, **CAMERA)
    *_, last = open_source(path, motion_vectors=True)
    pixels = 0 if last.vectors is None else int((last.vectors.blocks[:, 2] * last.vectors.blocks[:, 3]).sum())
    assert pixels < 0.5 * SIZE_HW[0] * SIZE_HW[1]


def test_images_have_none(tmp_path: Path) -> None:
    import cv2

    for i, rgb in enumerate(panning(2, SIZE_HW)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rgb)
    assert all(frame.vectors is None for frame in open_source(tmp_path, motion_vectors=True))
