"""Calibration: whether confidence equals the rate of correct labels (Guo et al.: On Calibration of Modern Neural
Networks, ICML 2017, section 2).

Pixels are sorted into bins of equal width by their confidence, ((m - 1) / M, m / M], the first with 0. In a calibrated
method the share of right labels of each bin is its mean confidence. The expected calibration error (ECE) is the mean
distance between the two, bins weighted by their pixels. The same holds for the reliability of propagated scores, in
place of confidence.

Counts are float64 sums of (bins, 3) and additive: those of a data set are the sum of those of its frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ScoresError, SettingError
from segtween.metrics.segmentation import Fractions, fraction
from segtween.types import IGNORE, Labels

BINS = 15
"""As in Guo et al., section 5."""

EDGE = 1e-6
"""A confidence no further above an edge than this belongs to the bin below: float32 holds few edges exactly."""

Confidence = NDArray[np.floating[Any]]
Sums = NDArray[np.float64]


def bin_sums(confidence: Confidence, prediction: Labels, truth: Labels, *, bins: int = BINS) -> Sums:
    """(bins, 3) of one frame: pixels, those whose label is right, sum of their confidence.

    `confidence` (H, W) in 0..1 at the labels' size. Pixels without a true label (255) are not counted; a predicted 255
    is wrong. Raises ScoresError for other sizes, and for values outside 0..1.
    """
    if not confidence.shape == prediction.shape == truth.shape:
        raise ScoresError(
            f"confidence {confidence.shape}, predicted labels {prediction.shape}, true labels {truth.shape}",
            expected="three maps of one size",
            do="enlarge the confidence to the labels' size",
        )
    values = np.asarray(confidence, np.float32).ravel()
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ScoresError(
            f"confidence from {values.min():g} to {values.max():g}", expected="0 to 1", do="normalise the scores"
        )
    true = truth.ravel()
    # Index of the bin, above it `bins` for right labels; the last one takes what has no true label.
    index = np.maximum(np.ceil(values * np.float32(bins) - np.float32(bins * EDGE)).astype(np.intp), 1)
    index -= 1
    index += bins * (prediction.ravel() == true)
    index[true == IGNORE] = 2 * bins
    pixels = np.bincount(index, minlength=2 * bins + 1)[:-1].reshape(2, bins)
    confidences = np.bincount(index, weights=values, minlength=2 * bins + 1)[:-1].reshape(2, bins)
    return np.stack([pixels.sum(axis=0), pixels[1], confidences.sum(axis=0)], axis=-1).astype(np.float64)


def expected_calibration_error(sums: NDArray[np.generic]) -> Fractions:
    """(..., bins, 3) -> (...) in 0..1; NaN where no pixel was counted."""
    pixels, right, confidence = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    total = pixels.sum(axis=-1)
    return np.where(total > 0, np.abs(right - confidence).sum(axis=-1) / np.maximum(total, 1), np.nan)


def overconfidence(sums: NDArray[np.generic]) -> Fractions:
    """(..., bins, 3) -> (...) in -1..1: mean confidence less the share of right labels; NaN where nothing was counted.

    Positive: more confident than right. At most the ECE in size, and less where bins err to both sides.
    """
    pixels, right, confidence = np.moveaxis(np.asarray(sums, np.float64).sum(axis=-2), -1, 0)
    return np.where(pixels > 0, (confidence - right) / np.maximum(pixels, 1), np.nan)


def calibration_figures(sums: NDArray[np.generic]) -> dict[str, Any]:
    """From (bins, 3): `ece`, `overconfidence`, and per bin lists of `confidence` (mean), `accuracy` and `pixels`.

    None for the means of a bin without pixels, and for `ece` and `overconfidence` where there are none at all.
    """
    pixels, right, confidence = np.asarray(sums, np.float64).T
    some = np.maximum(pixels, 1)
    return {
        "ece": fraction(expected_calibration_error(sums)),
        "overconfidence": fraction(overconfidence(sums)),
        "confidence": [fraction(v) for v in np.where(pixels > 0, confidence / some, np.nan)],
        "accuracy": [fraction(v) for v in np.where(pixels > 0, right / some, np.nan)],
        "pixels": [int(v) for v in pixels],
    }


class Calibration:
    """Expected calibration error of one stream of frames, all their pixels pooled."""

    sums: Sums

    def __init__(self, bins: int = BINS) -> None:
        if bins < 1:
            raise SettingError(f"{bins} bins", expected="1 or more", do=f"{BINS} is usual")
        self.bins = bins
        self.reset()

    def update(self, confidence: Confidence, prediction: Labels, truth: Labels) -> None:
        """One frame, as `bin_sums`. For reliability the prediction is the propagated label."""
        self.sums += bin_sums(confidence, prediction, truth, bins=self.bins)

    def take(self) -> Sums:
        """(bins, 3) pixels, right ones, sum of confidence, since the last `take`."""
        sums, self.sums = self.sums, np.zeros((self.bins, 3))
        return sums

    def compute(self) -> dict[str, Any]:
        return calibration_figures(self.sums)

    def reset(self) -> None:
        self.sums = np.zeros((self.bins, 3))
