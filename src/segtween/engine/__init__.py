"""Labels for every frame from scores at key frames: the causal way, delayed, bidirectional and for several streams."""

from __future__ import annotations

from segtween.engine.causal import Carry, Clock, Engine, History, Past

__all__ = ["Carry", "Clock", "Engine", "History", "Past"]
