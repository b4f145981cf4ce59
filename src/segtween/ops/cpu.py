"""The engine's array operations on the CPU: NumPy, OpenCV and Numba.

Convention (docs/conventions.md): backward flow, current(x, y) = previous(x + dx, y + dy), in pixels of
its own grid, resizing scales its vectors; pixel centres on integers; resizing is half-pixel-centred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.geometry import sample_positions, shrink_to
from segtween.ops import along, bidirectional, candidates, kernels, matching, tiles
from segtween.ops.appearance import Matching
from segtween.ops.cache import TwoEntryCache
from segtween.ops.confidence import confidence_rows
from segtween.ops.searches import SEARCHES, describe_matching
from segtween.ops.threads import Made, Rows
from segtween.types import Appearance, Flow, Labels, Rgb, ScoreKind, ScoreMap, SizeHW, check_rgb

Float = NDArray[np.float32]
MatchedSource = tuple[ScoreMap, Flow, Appearance]


class CpuOps:
    """Array operations that share one set of threads (0 = every processor): those in `rows`, if given."""

    def __init__(self, *, threads: int = 0, rows: Rows | None = None) -> None:
        self.rows = rows or Rows(threads)
        self.threads = self.rows.threads
        cv2.setNumThreads(self.threads)
        self._known = TwoEntryCache[tuple[Float, Labels, NDArray[np.uint64]]]()
        self._uniform, self._lasts = TwoEntryCache[Labels](), TwoEntryCache[Float]()
        self._matching = Matching(self.rows)
        self.mixed_cells = 0.0
        """Share of cells of the last `labels` call that had to be interpolated."""

    def sibling(self) -> CpuOps:
        """The same with the same threads, for another stream: each keeps tables of its own key frames."""
        return type(self)(rows=self.rows)

    def each(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        """What several works return that need nothing of one another."""
        return self.rows.each(works)

    def scope(self) -> AbstractContextManager[None]:
        """What the work of a frame is done in: nothing special."""
        return nullcontext()

    def host(self, values: Any, *, like: Any) -> Any:  # noqa: ARG002
        """Values as a caller wants them who gave an array `like` this."""
        return values

    def image(self, rgb: Rgb) -> Rgb:
        """The frame as the other operations want it; SettingError for what is no (H, W, 3) uint8 RGB."""
        return check_rgb(rgb)

    def score_map(self, logits: Float, *, kind: ScoreKind, most_cells: int | None, image_hw: SizeHW) -> ScoreMap:
        """Logits (C, h, w) as scores of `kind`: on their own grid, or where that has more than `most_cells`
        cells on the image's grid of stride 2, 4, 8, ... that has not."""
        values = np.ascontiguousarray(
            logits, np.float32
        ).view()  # never the caller's own: `_best` knows arrays by identity
        if most_cells is not None and values.shape[1] * values.shape[2] > most_cells:
            values = resize_planes(values, shrink_to(image_hw, cells=most_cells))
        return ScoreMap(softmax(values) if kind == "probabilities" else values, kind, image_hw)

    def warp(self, values: Float, flow: Flow) -> tuple[Float, NDArray[np.bool_]]:
        """(C, h, w) gathered along a flow of the same grid; and which samples lay inside the image, (h, w).

        Zero flow is the identity exactly, whole-pixel flow an exact shift. Samples outside take the border's value.
        """
        if flow.shape != (*values.shape[1:], 2):
            raise SettingError(
                f"flow of shape {flow.shape} for values of shape {values.shape}",
                expected=f"a flow of shape {(*values.shape[1:], 2)}",
                do="resize the flow to the values' grid",
            )
        values, flow = np.ascontiguousarray(values, np.float32), np.ascontiguousarray(flow, np.float32)
        out, valid = np.empty_like(values), np.empty(values.shape[1:], np.bool_)
        self.rows(lambda a, b: kernels.warp_rows(values, flow, out, valid, a, b), values.shape[1])
        return out, valid

    def compose_flow(self, near: Flow, far: Flow) -> Flow:
        """One flow along two: `near` leads from this frame to another, `far` from there on; all on one grid."""
        onward, _ = CpuOps.warp(self, np.ascontiguousarray(np.moveaxis(far, 2, 0)), near)
        return np.ascontiguousarray(near + np.moveaxis(onward, 0, 2))

    def residual(self, current: NDArray[np.uint8], previous: NDArray[np.uint8], flow: Flow) -> Float:
        """|current - previous moved along the flow|, (h, w) float32 in 0..255; 255 where it came from outside.

        Images are (h, w), or (h, w, 3), of which the mean over the colours counts.
        """
        current, previous = (np.ascontiguousarray(grey(image)) for image in (current, previous))
        flow = np.ascontiguousarray(flow, np.float32)
        out = np.empty(current.shape, np.float32)
        self.rows(lambda a, b: kernels.residual_rows(current, previous, flow, out, a, b), current.shape[0])
        return out

    def follow(
        self,
        reliability: Float | None,
        composed: Flow | None,
        flow: Flow,
        error: Float,
        *,
        grid_hw: SizeHW,
        tolerance: float,
    ) -> tuple[Float, Flow]:
        """One frame farther from a key frame: reliability (gh, gw) in 0..1 and composed flow (gh, gw, 2) to it, on the
        grid given.

        `flow` (h, w, 2) leads to the frame before, for which `reliability` and `composed` are known (None: it is the
        key frame itself), the composed flow on the same grid; `error` (h, w), the residual of the flow, takes
        exp(-(error / tolerance)^2) of the reliability; what came from outside the image has none.
        """
        halved = flow.shape[:2] == error.shape == (2 * grid_hw[0], 2 * grid_hw[1])
        if (
            halved
            and (reliability is None) == (composed is None)
            and (reliability is None or reliability.shape == grid_hw)
        ):
            return self._follow_halved(reliability, composed, flow, error, 1 / tolerance)
        near = self.resize_flow(flow, grid_hw)
        fading = np.exp(-np.square(self.resize(error, grid_hw) / np.float32(tolerance)))
        before = np.ones(grid_hw, np.float32) if reliability is None else reliability
        if before.shape != grid_hw:
            before = self.resize(before, grid_hw)
        moved, inside = self.warp(before[None], near)
        return moved[0] * fading * inside, near if composed is None else self.compose_flow(near, composed)

    def _follow_halved(
        self, reliability: Float | None, composed: Flow | None, flow: Flow, error: Float, rate: float
    ) -> tuple[Float, Flow]:
        grid = error.shape[0] // 2, error.shape[1] // 2
        before = np.empty((0, 0), np.float32) if reliability is None else np.ascontiguousarray(reliability)
        far = np.empty((0, 0, 2), np.float32) if composed is None else np.ascontiguousarray(composed)
        farther, extended = np.empty(grid, np.float32), np.empty((*grid, 2), np.float32)
        flow = np.ascontiguousarray(flow, np.float32)
        self.rows(lambda a, b: kernels.follow_rows(before, far, flow, error, rate, farther, extended, a, b), grid[0])
        return farther, extended

    def blend(self, fresh: Float, history: Float, composed: Flow | None, share: Float) -> Float:
        """(C, h, w): (1 - share) fresh + share history, read where the composed flow leads. Flow and share are of any
        grid that spans the image; without composed flow the history is of this very frame."""
        fresh, grid = np.ascontiguousarray(fresh), (fresh.shape[1], fresh.shape[2])
        if composed is None:
            composed = np.zeros((*share.shape, 2), np.float32)
        if share.shape != composed.shape[:2] or share.size > grid[0] * grid[1]:
            composed, share = self.resize_flow(composed, grid), self.resize(share, grid)
        values, scaled, part = np.empty_like(fresh), scaled_flow(composed, grid), np.ascontiguousarray(share)
        where = _enlarging(grid, (share.shape[0], share.shape[1]))
        self.rows(lambda a, b: kernels.blend_rows(fresh, history, scaled, part, where, values, a, b), grid[0])
        return values

    def resize_flow(self, flow: Flow, grid_hw: SizeHW) -> Flow:
        """A flow on another grid; its vectors are scaled with it."""
        h, w = flow.shape[:2]
        if (h, w) == grid_hw:
            return flow
        shrink = grid_hw[0] * grid_hw[1] < h * w
        resized = cv2.resize(flow, grid_hw[::-1], interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
        resized *= np.array([grid_hw[1] / w, grid_hw[0] / h], np.float32)
        return resized

    def resize(self, plane: Float, grid_hw: SizeHW) -> Float:
        """One plane (h, w) on another grid: area mean when it shrinks, bilinear when it grows."""
        return resize_planes(plane[None], grid_hw)[0]

    def labels(self, scores: ScoreMap, size_hw: SizeHW, *, composed: Flow | None = None) -> Labels:
        """(H, W) train ids: the argmax of the bilinearly enlarged scores, ties to the lowest class.

        With `composed` flow, on any grid that spans the image, each pixel's scores are those where the composed flow
        leads from it.
        The enlarged maps are never stored; equal to computing them (see `kernels.enlarge_labels_rows`).
        """
        grid = scores.grid_hw
        if composed is not None:
            source, out = self._source(scores, composed, composed.shape[:2]), np.empty(size_hw, np.uint8)
            return self._read(lambda *a: along.read_rows(source, *a), out, (composed.shape[0], composed.shape[1]))
        out, mixed = self._enlarged_labels(scores, size_hw)
        self.mixed_cells = mixed / max(1, (grid[0] - 1) * (grid[1] - 1))
        return out

    def _enlarged_labels(self, scores: ScoreMap, size_hw: SizeHW) -> tuple[Labels, int]:
        """Labels without composed flow, and how many cells had to be interpolated."""
        values, best, among = self._best(scores.values)
        where, out, mixed = self._positions(size_hw, scores.grid_hw), np.empty(size_hw, np.uint8), list[int]()
        weight_x, starts_x, top, weight_y = where

        def part(a: int, b: int) -> None:
            mixed.append(kernels.enlarge_labels_rows(values, best, among, weight_x, starts_x, top, weight_y, out, a, b))

        self.rows(part, size_hw[0])
        return out, sum(mixed)

    def appearance(self, rgb: Rgb, grid_hw: SizeHW) -> Appearance:
        """The colours of a frame (H, W, 3) on the flow's grid, by which composed flow is matched."""
        return self._matching.appearance(rgb, grid_hw)

    def match(self, composed: Flow, now: Appearance, key: Appearance, *, quality: str) -> Flow:
        """Composed flow to a key frame, on the coarse grid of the appearances: where a cell's colours do not fit, it
        takes the flow of a cell near by that fits better (`ops.appearance`)."""
        return self._matching.coarse(composed, now, key, SEARCHES[quality].coarse)

    describe_matching = staticmethod(describe_matching)

    def match_labels(
        self,
        labels: Labels,
        sources: Sequence[MatchedSource],
        now: Appearance,
        share: Float | None = None,
        *,
        quality: str,
    ) -> Labels:
        """The labels (H, W) that `labels` or, of two sources, `mixed_labels` gave, matched once more on the fine grid
        near their edges; written in place. A source is (scores, composed flow, appearance of the key frame)."""
        grid = now.fine.shape[0], now.fine.shape[1]
        here = self._matching.centres(labels, grid)
        search = SEARCHES[quality].fine
        found = [
            self._matching.fine(self._for_fine_grid(composed, grid), now, key, search, here)
            for _, composed, key in sources
        ]
        cells = found[0][1] if len(found) == 1 else united([changed for _, changed in found], grid)
        moved = [flow[cells[:, 1], cells[:, 0]] for flow, _ in found]
        if share is None:
            (values, _, among), one = self._best(sources[0][0].values), moved[0]
            relabel = lambda a, b: matching.relabel_rows(values, among, cells, one, grid, labels, a, b)  # noqa: E731
        else:
            both = tuple((self._padded(scores.values), self._best(scores.values)[2]) for scores, _, _ in sources)
            two, part = np.stack(moved, axis=1), self.resize(share, grid)[cells[:, 1], cells[:, 0]]
            how = both, len(sources[0][0].values), part, cells, two, grid, labels
            relabel = lambda a, b: matching.relabel_mixed_rows(*how, a, b)  # noqa: E731
        self.rows(relabel, len(cells))
        return labels

    def _for_fine_grid(self, composed: Flow, grid_hw: SizeHW) -> Flow:
        """The composed flow itself if its grid is half as fine, otherwise on the fine grid."""
        is_half = grid_hw == (2 * composed.shape[0], 2 * composed.shape[1])
        return composed if is_half else self.resize_flow(composed, grid_hw)

    def mixed_labels(
        self, first: tuple[ScoreMap, Flow | None], second: tuple[ScoreMap, Flow | None], share: Float, size_hw: SizeHW
    ) -> Labels:
        """(H, W) train ids: the argmax of (1 - share) first + share second, both scores read where their composed flow
        leads.

        Flows and `share` (gh, gw), 0..1, have one grid, which spans the image. Without composed flow a source is of
        this very frame. Where the share is 0 or 1 the other source costs nothing. Ties go to the lowest class.
        """
        sources = self._source(*first, share.shape), self._source(*second, share.shape)
        lasts = self._padded(first[0].values), self._padded(second[0].values)
        share, out = np.ascontiguousarray(share, np.float32), np.empty(size_hw, np.uint8)
        return self._read(lambda *a: along.mix_rows(sources, lasts, share, *a), out, (share.shape[0], share.shape[1]))

    def mixed_label_maps(self, first: tuple[Labels, Flow], second: tuple[Labels, Flow], share: Float) -> Labels:
        """(H, W): of the labels around the places where the paths lead from a pixel, the one with the most weight:
        bilinear, times 1 - share for the first and share for the second. Any values, 255 among them.

        Flows and `share` (gh, gw), 0..1, have one grid, which spans the image.
        """
        (one, near), (other, far) = first, second
        size_hw, grid = (one.shape[0], one.shape[1]), (share.shape[0], share.shape[1])
        scale, out = np.array([size_hw[1] / grid[1], size_hw[0] / grid[0]], np.float32), np.empty(size_hw, np.uint8)
        maps = (np.ascontiguousarray(one), near * scale, np.ascontiguousarray(other), far * scale)
        where = _positions(size_hw, grid)
        self.rows(lambda a, b: bidirectional.mix_label_maps_rows(*maps, share, *where, out, a, b), size_hw[0])
        return out

    def confidence(
        self,
        first: tuple[ScoreMap, Flow | None],
        second: tuple[ScoreMap, Flow | None] | None = None,
        share: Float | None = None,
        *,
        step: int = 1,
    ) -> Float:
        """The largest class probability of every `step`-th cell of every `step`-th row that lie in the image: of scores
        where the composed flow leads (None: at the cell itself), or of (1 - share) first + share second.

        Flows and `share`, 0..1, have any grid that spans the image; both scores have the same one, and one kind.
        """
        scores, grid = first[0], first[0].grid_hw
        one = self._led(*first)
        two = one if second is None else self._led(*second)
        part = np.empty((0, 0), np.float32) if share is None else np.ascontiguousarray(self.resize(share, grid))
        rows, columns = (-(-n // step) for n in scores.inside_hw)
        out, is_logits = np.empty((rows, columns), np.float32), scores.kind == "logits"
        self.rows(lambda a, b: confidence_rows(one, two, part, is_logits, step, out, a, b), rows)
        return out

    def _led(self, scores: ScoreMap, composed: Flow | None) -> tuple[Float, Flow]:
        """A source of `confidence_rows`."""
        if composed is None:
            composed = np.empty((0, 0, 2), np.float32)
        else:
            composed = np.ascontiguousarray(self.resize_flow(composed, scores.grid_hw), np.float32)
        return np.ascontiguousarray(scores.values, np.float32), composed

    def _source(self, scores: ScoreMap, composed: Flow | None, grid: tuple[int, ...]) -> tuple[Any, ...]:
        """What `along.read_rows` wants of scores."""
        values, best, among = self._best(scores.values)
        uniform = self._uniform(best, lambda: _uniform_regions(best))
        scaled = np.zeros((*grid, 2), np.float32) if composed is None else scaled_flow(composed, scores.grid_hw)
        return values, best, uniform, among, scaled

    def _padded(self, values: Float) -> Float:
        """`along.classes_last` of scores."""

        def made() -> Float:
            (classes, h, w), scores = values.shape, np.ascontiguousarray(values, np.float32)
            out = np.empty((h, w, -(-classes // tiles.WIDE), tiles.WIDE), np.float32)
            self.rows(lambda a, b: along.classes_last(scores, out, a, b), h)
            return out

        return self._lasts(values, made)

    def _best(self, values: Float) -> tuple[Float, Labels, NDArray[np.uint64]]:
        """Scores; their argmax; the classes that can be largest between four centres."""

        def made() -> tuple[Float, Labels, NDArray[np.uint64]]:
            scores, grid = np.ascontiguousarray(values, np.float32), (values.shape[1], values.shape[2])
            best, among = np.empty(grid, np.uint8), np.empty(grid, np.uint64)
            self.rows(lambda a, b: kernels.argmax_rows(scores, best, a, b), grid[0])
            self.rows(lambda a, b: candidates.candidates_rows(scores, best, among, a, b), grid[0])
            return scores, best, among

        return self._known(values, made)

    def _read(self, kernel: Callable[..., int], out: Labels, grid: SizeHW) -> Labels:
        (gh, gw), mixed = grid, list[int]()
        starts = _starts(out.shape[0], gh), _starts(out.shape[1], gw)
        self.rows(lambda a, b: mixed.append(kernel(*starts, out, a, b)), gh + 1)
        self.mixed_cells = sum(mixed) / ((gh + 1) * (gw + 1))
        return out

    def _positions(self, size_hw: SizeHW, grid_hw: SizeHW) -> tuple[Any, ...]:
        return _positions(size_hw, grid_hw)

    def describe(self) -> dict[str, Any]:
        return {"arrays": "cpu"}


def _uniform_regions(best: Labels) -> Labels:
    out = np.empty_like(best)
    along.uniform_regions(best, out)
    return out


def grey(image: NDArray[Any]) -> NDArray[Any]:
    """(h, w) uint8: the image itself, or the mean of its colours."""
    return image if image.ndim == 2 else np.rint(image.mean(axis=2, dtype=np.float32)).astype(np.uint8)


def united(found: Sequence[NDArray[np.int32]], grid_hw: SizeHW) -> NDArray[np.int32]:
    """The cells (n, 2), x and y, that are in any of several lists of them, each once."""
    is_found = np.zeros(grid_hw, np.bool_)
    for cells in found:
        is_found[cells[:, 1], cells[:, 0]] = True
    return np.stack(np.nonzero(is_found)[::-1], axis=1).astype(np.int32)


def scaled_flow(flow: Flow, grid_hw: SizeHW) -> Flow:
    """A flow (h, w, 2) in pixels of another grid."""
    h, w = flow.shape[:2]
    scale = np.array([grid_hw[1] / w, grid_hw[0] / h], np.float32)
    return np.asarray((flow.reshape(h, 2 * w) * np.tile(scale, w)).reshape(h, w, 2), np.float32)


def softmax(logits: Float) -> Float:
    """Class probabilities over axis 0 of (C, h, w)."""
    values = logits - logits.max(axis=0)
    np.exp(values, out=values)
    values /= values.sum(axis=0)
    return values


def resize_planes(values: Float, grid_hw: SizeHW) -> Float:
    """(C, h, w) on another grid: area mean when it shrinks, bilinear when it grows."""
    shrink = grid_hw[0] * grid_hw[1] < values.shape[1] * values.shape[2]
    how = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    out = np.empty((values.shape[0], *grid_hw), np.float32)
    for plane, target in zip(values, out, strict=True):
        cv2.resize(plane, grid_hw[::-1], dst=target, interpolation=how)
    return out


@lru_cache(maxsize=32)
def _positions(size_hw: SizeHW, grid_hw: SizeHW) -> tuple[Any, ...]:
    left, weight_x = sample_positions(size_hw[1], grid_hw[1])
    top, weight_y = sample_positions(size_hw[0], grid_hw[0])
    cells = max(1, grid_hw[1] - 1)
    starts_x = np.searchsorted(left, np.arange(cells + 1)).astype(np.int32)
    starts_x[-1] = size_hw[1]
    return weight_x, starts_x, top, weight_y


@lru_cache(maxsize=16)
def _enlarging(grid_hw: SizeHW, source_hw: SizeHW) -> tuple[NDArray[Any], ...]:
    """(top, weight_y, left, weight_x): where the samples of a grid lie between those of a coarser one."""
    return *sample_positions(grid_hw[0], source_hw[0]), *sample_positions(grid_hw[1], source_hw[1])


@lru_cache(maxsize=64)
def _starts(target: int, source: int) -> NDArray[np.int32]:
    """Where each of the source + 1 spaces between `source` samples, and before and after them, begins among `target`
    samples; then `target`."""
    centre = (np.arange(target) + 0.5) * (source / target) + 0.5
    return np.searchsorted(np.floor(centre), np.arange(source + 2)).astype(np.int32)
