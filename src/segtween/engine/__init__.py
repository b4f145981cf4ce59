"""Labels for every frame from the network's scores at key frames.

| module | what it is |
| --- | --- |
| `causal` | the method in one file: a frame is labelled from itself and those before it |
| `delayed` | asynchronous key frames: scores arrive some frames late |
| `bidirectional` | files: a frame is read from the key frames on both sides; `sources` says where these come from |
| `multistream` | several streams with one network, their key frames staggered |
| `motion` | frames to `types.Motion` |
| `keys` | which frames are key frames, and the network's scores of them |
| `state` | a key frame's state: propagated, fused, read; `resample`: scores resampled in every frame |
| `frames`, `clock` | what engines have in common, and the plain network on every frame |
"""

from __future__ import annotations

from segtween.interfaces import Engine

__all__ = ["Engine"]
