"""True labels in place of a network's scores: what is lost then is lost in propagation."""

from __future__ import annotations

from collections import Counter

from segtween.datasets import Dataset
from segtween.errors import DatasetError
from segtween.segmenters.truth import TrueLabels
from segtween.types import Labels, SizeHW


def true_labels(dataset: Dataset) -> TrueLabels:
    """The data set's own labels as a segmenter.

    Raises DatasetError where a frame that may become a key frame has no label, and where two frames have one name.
    """
    frames = [frame for clip in dataset.clips for frame in clip.frames]
    missing = next((frame.name for frame in frames if frame.label_path is None), None)
    if missing is not None:
        raise DatasetError(
            f"frame {missing} of {dataset.title} has no label to stand in for the network",
            expected="labels on every frame, since each may be a key frame",
            do="choose such data (segtween synth renders some), or measure with a network",
        )
    name, times = Counter(frame.name for frame in frames).most_common(1)[0]
    if times > 1:
        raise DatasetError(
            f"{times} frames of {dataset.title} are called {name}",
            expected="a name of its own for every frame",
            do="rename them",
        )
    by_name = {frame.name: frame for frame in frames}

    def read(name: str, size_hw: SizeHW) -> Labels:
        labels = dataset.read_labels(by_name[name], size_hw=size_hw)
        assert labels is not None, "checked above"
        return labels

    return TrueLabels(dataset.labels, read, by_name)
