"""What is used where nothing is said: one place for the front doors and the wiring, and light to load."""

from __future__ import annotations

DEFAULT_MODEL = "swiftnet-lite0.camvid"
DEFAULT_PRESET = "composed"
DEFAULT_INTERVAL = 4
