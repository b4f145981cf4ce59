"""The PNG writer against two readers that are not ours."""

from __future__ import annotations

import io
import struct

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segtween.labels import CAMVID11
from segtween.video.png import encode_png

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def indices_of(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) indices and (256, 3) palette of a palette PNG, read by FFmpeg."""
    with av.open(io.BytesIO(data), format="png_pipe") as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "pal8"
        image, argb = frame.to_ndarray()
    return image, np.asarray(argb).reshape(256, 4)[:, 1:]


@given(arrays.arrays(np.uint8, SIZES))
def test_indices_and_palette_come_back(labels):
    image, palette = indices_of(encode_png(labels, palette=CAMVID11.palette))
    assert np.array_equal(image, labels)
    assert np.array_equal(palette, CAMVID11.palette)


@given(arrays.arrays(np.uint8, SIZES.map(lambda s: (*s, 3))))
def test_true_colour_comes_back(rgb):
    read = cv2.imdecode(np.frombuffer(encode_png(rgb), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), rgb)


@pytest.mark.parametrize(("palette", "colour_type"), [(CAMVID11.palette, 3), (None, 2)])
def test_header(palette, colour_type):
    shape = (5, 7) if palette is not None else (5, 7, 3)
    data = encode_png(np.zeros(shape, np.uint8), palette=palette)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">IIBB", data[16:26]) == (7, 5, 8, colour_type)


def test_input_stays_as_it_is():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    encode_png(labels, palette=CAMVID11.palette)
    assert labels.ravel().tolist() == list(range(12))
