"""The preset `swnet-seq` gives the numbers of the reference's public code, through the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import panning
from golden_cases import CHECKPOINT, array, cases, share_changed, worst_error
from segtween.build import build_engine
from segtween.labels import CITYSCAPES19
from segtween.segmenters import open_segmenter
from segtween.settings import change, find_preset, single_values


class Given:
    """The golden key scores, whatever the picture."""

    labels = CITYSCAPES19

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self.logits = logits

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ARG002
        return self.logits

    def describe(self) -> dict[str, Any]:
        return {"name": "golden"}


@pytest.mark.train
@pytest.mark.shared
def test_the_golden_sequence(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path))
    golden = sorted((c.values[0] for c in cases("sequence_seed")), key=lambda case: case["frame"])
    settings = change(find_preset("swnet-seq"), interval=2, weights=str(shared / "weights" / CHECKPOINT))
    engine = build_engine(Given(array(golden[0], "key_logits")[0]), settings)
    edges = []
    for case, rgb in zip(golden, array(golden[0], "clip_u8"), strict=True):
        result = engine.step(rgb)
        assert result.is_key == (case["frame_kind"] == "key")
        assert worst_error(case, "logits", result.score_map.values[None]) <= 1
        assert share_changed(case, "labels", result.labels[None]) <= 1e-4
        if not result.is_key:
            edges.append(share_changed(case, "edge", engine.propagation.refiner.edge[None, None]))  # type: ignore[attr-defined]
    assert len(edges) == 2
    assert max(edges) == 0


@pytest.mark.parametrize("edge", [True, False])
def test_the_shipped_refinement_runs_without_torch(edge: bool) -> None:
    segmenter = open_segmenter("swiftnet-lite0.camvid", threads=2)
    settings = change(find_preset("swnet-seq"), interval=2, edge=edge)
    assert single_values(settings)["weights"] is None
    results = list(build_engine(segmenter, settings).stream(panning(4, (100, 130), cell=30)))
    assert [r.is_key for r in results] == [True, False, False, True]
    assert {r.labels.shape for r in results} == {(100, 130)}
    assert all(np.isfinite(r.score_map.values).all() for r in results)
    assert int(results[2].labels.max()) < len(segmenter.labels)
