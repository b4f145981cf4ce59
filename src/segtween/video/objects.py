"""Frames out of objects of other libraries, which are imported only by who made them.

| what | its frames |
| --- | --- |
| a NumPy array or torch tensor, a PIL image, one or in any iterable | (H, W, 3) uint8 RGB; of a tensor also (3, H, W) |
| names of image files in an iterable | as `images.read_image` reads them |
| `cv2.VideoCapture` | BGR turned to RGB, at its own times |
| `av.container.InputContainer`, or `av.VideoFrame` in an iterable | as `pictures.ToRgb` converts them, at their times |
| `torchcodec.decoders.VideoDecoder` | as it decodes them, at their times |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import SettingError, SourceError
from segtween.types import Frame, Rgb, check_rgb
from segtween.video.images import read_image
from segtween.video.pictures import ToRgb

_EXPECTED = "a file, camera or stream, a VideoCapture, a decoder of PyAV or torchcodec, or an iterable of pictures"


def frames_of(source: Any) -> Iterable[Frame] | Iterable[Rgb]:
    """The frames of any such object. SettingError for what is none, at once; for a frame that is no picture, when its
    turn comes."""
    if _is_made_by(source, "cv2", "VideoCapture"):
        return _captured(source)
    if _is_made_by(source, "av", "InputContainer"):
        return _mixed(source.decode(video=0))
    if _is_made_by(source, "torchcodec", "VideoDecoder"):
        decoded = ((i, source.get_frame_at(i)) for i in range(len(source)))
        return (_at(i, float(frame.pts_seconds), _from_tensor(frame.data)) for i, frame in decoded)
    if _is_picture(source):
        return [picture(source)]
    if not isinstance(source, Iterable):
        raise SettingError(f"source is {type(source).__name__}", expected=_EXPECTED, do="give one of these")
    return _mixed(source)


def picture(item: Any) -> Rgb:
    """One picture of any such library as (H, W, 3) uint8 RGB; a tensor in a card's memory stays there."""
    if isinstance(item, (str, Path)):
        return read_image(Path(item))
    if _is_made_by(item, "PIL", "Image"):
        return _from_pil(item)
    if _is_made_by(item, "torch", "Tensor"):
        return _from_tensor(item)
    return check_rgb(item)


def _is_made_by(item: Any, library: str, name: str) -> bool:
    """Whether the object is of that class of that library, or of one derived from it."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == library for kind in type(item).__mro__)


def _is_picture(item: Any) -> bool:
    return _is_made_by(item, "PIL", "Image") or (
        getattr(item, "ndim", None) == 3 and (isinstance(item, np.ndarray) or _is_made_by(item, "torch", "Tensor"))
    )


def _from_tensor(tensor: Any) -> Any:
    is_planar = tensor.ndim == 3 and tensor.shape[0] == 3 and tensor.shape[2] != 3
    if tensor.ndim != 3 or not (is_planar or tensor.shape[2] == 3) or str(tensor.dtype) != "torch.uint8":
        raise SettingError(
            f"frame is {tensor.dtype} of shape {tuple(tensor.shape)}",
            expected="an RGB image, uint8 of shape (height, width, 3) or (3, height, width)",
            do="convert it, from 0..1 with (frame * 255).round().to(torch.uint8)",
        )
    tensor = (tensor.permute(1, 2, 0) if is_planar else tensor).contiguous()
    return tensor.numpy() if tensor.device.type == "cpu" else tensor


def _from_pil(image: Any) -> Rgb:
    try:
        if image.mode.startswith("I;16"):  # Pillow itself would cut all above 255 off
            grey = (np.asarray(image) >> 8).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        if image.mode not in ("I", "F"):
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"a PIL image cannot be read ({error})", expected="a whole image that is not closed", do="open it again"
        ) from None
    raise SettingError(
        f"frame is a PIL image of mode {image.mode}",
        expected="an image of 8 bits, or of mode I;16",
        do="scale its values to 0..255 and convert it to RGB",
    )


def _at(index: int, seconds: float, rgb: Rgb) -> Frame:
    return Frame(index, Fraction(seconds).limit_denominator(1_000_000), rgb)


def _captured(capture: Any) -> Iterator[Frame]:
    import cv2

    if not capture.isOpened():
        raise SourceError(
            "the VideoCapture is not open",
            expected="a file or camera that OpenCV can read",
            do="check what it was given",
        )
    index = 0
    while True:
        has_frame, bgr = capture.read()
        if not has_frame:
            return
        yield _at(index, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        index += 1


def _mixed(items: Iterable[Any]) -> Iterator[Any]:
    convert: ToRgb | None = None
    for index, item in enumerate(items):
        if isinstance(item, Frame):
            yield item
        elif _is_made_by(item, "av", "VideoFrame"):
            convert = convert or ToRgb()
            yield _at(index, item.time or 0.0, convert(item))
        else:
            yield picture(item)
