from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Time:
    sec: int = 0
    nanosec: int = 0


@dataclass
class Header:
    stamp: Time = field(default_factory=Time)
    frame_id: str = ""


@dataclass(kw_only=True)
class Image:
    """As sensor_msgs/Image is: made of keywords alone."""

    header: Header
    height: int
    width: int
    encoding: str
    step: int
    data: bytes
    is_bigendian: int = 0
