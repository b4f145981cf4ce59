"""A stand-in for ROS 2's client library: `spin` hands over the images of a file, publishers keep what they get."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sensor_msgs.msg import Header, Image, Time


def init() -> None:
    """Nothing to prepare."""


def spin(node: Any) -> None:
    with np.load(os.environ["ROS_IMAGES"]) as stored:
        images = [stored[name] for name in stored.files]
    for i, rgb in enumerate(images):
        padded = np.pad(rgb[..., ::-1].reshape(rgb.shape[0], -1), ((0, 0), (0, 5)))  # rows may be longer than pixels
        header = Header(stamp=Time(sec=7 + i, nanosec=500_000_000), frame_id="camera")
        height, width = rgb.shape[:2]
        message = Image(
            header=header, height=height, width=width, encoding="bgr8", step=padded.shape[1], data=padded.tobytes()
        )
        node.subscriptions["image"](message)
    kept = {}
    for topic, publisher in node.publishers.items():
        for i, message in enumerate(publisher.messages):
            kind = {"mono8": np.uint8, "32FC1": np.float32}[message.encoding]
            assert message.header.stamp.sec == 7 + i
            assert message.step == message.width * np.dtype(kind).itemsize
            values = np.frombuffer(message.data, kind).reshape(message.height, message.width)
            kept[f"{topic}-{message.encoding}-{i}"] = values
    np.savez(os.environ["ROS_ANSWERS"], **kept)
