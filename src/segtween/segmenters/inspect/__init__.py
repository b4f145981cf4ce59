"""Proposes the sidecar of a segmentation network's file: what can be read is read, the rest is guessed and marked.

The graph's shapes say layout and size, its beginning whether it normalises by itself, and one run on
random pixels what its outputs really are: an argmax's whole numbers, probabilities that sum to 1, the
stride. What stands in the file's metadata or beside it is read (`inspect.beside`). What no file says (channel order,
normalisation, names of the classes) is proposed as the most usual one and listed in `guessed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from segtween.errors import ModelError, check_known
from segtween.labels import MOST_CLASSES, LabelSet, numbered, usual
from segtween.labels import label_set as find_label_set
from segtween.models.finding import check_graph_file
from segtween.models.records import ModelRecord, OutputKind, record_from_dict, sidecar_path
from segtween.models.weights import weight_files
from segtween.runtimes.openvino import OpenVinoRuntime, read_graph
from segtween.segmenters.inspect.beside import facts_beside
from segtween.segmenters.inspect.draft import Draft, Fact, unfit
from segtween.segmenters.inspect.inputs import read_input
from segtween.segmenters.inspect.outputs import (
    BINARY,
    Answers,
    Candidate,
    Pair,
    candidates,
    classes_before_argmax,
    highest_label,
    masked_pair,
    stride_of,
)
from segtween.segmenters.merging import classes_of
from segtween.segmenters.network import NetworkSegmenter, open_network, resize
from segtween.types import SizeHW, format_size

TRIAL_HW: SizeHW = (256, 320)
_PLAIN_KINDS = ("logits", "probabilities", "labels")
_TRIALS = 3
"""Images of random pixels on which a label map is asked for its highest label, where the graph does not say it."""


@dataclass(frozen=True)
class Proposal:
    """A record, its `path` the sidecar's, and for each field that is not guessed where it was read."""

    record: ModelRecord
    sources: Mapping[str, str]

    @property
    def asks_for_trained_size(self) -> bool:
        """Whether the size that it was trained at would help (`segmenters.network.auto_scale`)."""
        return self.record.trained_size_hw is None and not self.record.input.takes_one_size

    def rows(self) -> list[tuple[str, str, str]]:
        """(field, value, `guessed` or the source) for each line of the proposal, for people."""
        plain = self.record.to_dict()
        rows = [("graph", self.record.graph)]
        for part in ("input", "output"):
            rows += [(f"{part}.{key}", _shown(value)) for key, value in plain[part].items()]
        rows.append(("labels", f"{self.record.labels.name}: {len(self.record.labels)} classes"))
        guessed = self.record.guessed
        return [(name, v, "guessed" if name in guessed else self.sources.get(name, "graph")) for name, v in rows]


def inspect_onnx(
    path: str | Path,
    *,
    label_set: str | Path | LabelSet | Sequence[str] | None = None,
    output_kind: OutputKind | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> ModelRecord:
    """The record of `propose`."""
    return propose(path, label_set=label_set, output_kind=output_kind, fixed=fixed).record


def propose(
    path: str | Path,
    *,
    label_set: str | Path | LabelSet | Sequence[str] | None = None,
    output_kind: OutputKind | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Proposal:
    """The proposed record of a network's file, tried on random pixels.

    `save_record(record, record.path)` makes the file a model. `label_set`, `output_kind` and the values
    `fixed` of inputs beside the image replace what would be guessed.

    Raises ModelError for files that hold no graph, for networks that are not segmentation, and for instance networks
    and mask queries of which neither the file nor `output_kind` says how their masks are merged.
    """
    path = Path(path)
    check_graph_file(path)
    weight_files(path)
    graph = read_graph(path)
    draft = Draft(facts_beside(path) | _given(label_set, output_kind, fixed))
    read_input(graph, path, draft)
    classes = _read_output(graph, path, draft)
    sources = {name: fact.source for name, fact in draft.facts.items() if name != "classes"}
    read_from = sorted({s for name, s in sources.items() if s not in ("graph", "trial run", "argument")})
    record = ModelRecord(
        name=path.stem,
        graph=path.name,
        input=draft.input(),
        output=draft.output(),
        labels=draft.get("labels"),
        path=sidecar_path(path),
        provenance={"source": path.name} | ({"read_from": read_from} if read_from else {}),
        guessed=draft.guessed,
    )
    record_from_dict(record.to_dict(), path=record.path)  # what stands beside may be out of range
    # Labels of which nothing says how many there are may be others on the next image.
    _try(record if classes or "labels" in draft.facts else replace(record, labels=numbered(MOST_CLASSES)))
    return Proposal(record, sources)


def _given(label_set: Any, kind: OutputKind | None, fixed: Mapping[str, Any] | None) -> dict[str, Fact]:
    if kind is not None:
        check_known(f"output_kind {kind!r}", kind, get_args(OutputKind))
    values = {
        "labels": None if label_set is None else find_label_set(label_set),
        "output.kind": kind,
        "input.fixed": dict(fixed or {}) or None,
    }
    return {name: Fact(value, "argument") for name, value in values.items() if value is not None}


def _shown(value: Any) -> str:
    if value is None:
        return "any"
    if isinstance(value, list):
        return ", ".join(f"{v:g}" if isinstance(v, (int, float)) else str(v) for v in value)
    return str(value)


# ── Output ────────────────────────────────────────────────────────────────────────────────────


def _trial(path: Path, draft: Draft) -> Iterator[tuple[Answers, SizeHW]]:
    """All outputs for random pixels, fine ones and then coarser ones, and how many of these there were."""
    pixels = draft.input()
    runtime = OpenVinoRuntime(path, pixels=pixels)
    size = pixels.size_hw or TRIAL_HW
    for seed in range(_TRIALS):
        coarse = tuple(max(1, side >> 2 * seed) for side in size)
        image = np.random.default_rng(seed).integers(0, 256, (*coarse, 3)).astype(np.uint8)
        try:
            answers = runtime.run(resize(image, size)[None])
        except ModelError as error:
            raise unfit(
                path,
                f"does not run on an image of {format_size(size)} ({error.got})",
                "a network for images of any size, or with its own size in the graph",
            ) from None
        yield dict(zip(runtime.outputs, answers, strict=True)), size


def _read_output(graph: Any, path: Path, draft: Draft) -> int:
    """Fills in the draft's `output` and guesses the labels; returns how many classes there are, 0 where nothing says
    it."""
    trials = _trial(path, draft)
    answers, size_hw = next(trials)
    pair = masked_pair(answers, size_hw)
    kind = draft.get("output.kind")
    if pair is not None and kind not in _PLAIN_KINDS:
        return _read_pair(pair, answers, size_hw, path, draft)
    found = [c for c in candidates(graph, answers, size_hw) if kind in (None, c.output.kind)]
    if not found:
        raise _no_segmentation(path, {name: answer.shape for name, answer in answers.items()}, kind)
    best = found[0]
    if not best.output.has_background:
        draft.facts.pop("output.threshold", None)
    for name, value in best.output.to_dict().items():
        put = draft.guess if f"output.{name}" in best.unsure else partial(draft.read, source="trial run")
        put(f"output.{name}", tuple(value) if isinstance(value, list) else value)
    if len(found) > 1:
        draft.facts.pop("output.name")
        draft.guess("output.name", best.output.name)
    return _classes(graph, best, answers, trials, draft)


def _classes(
    graph: Any, best: Candidate, answers: Answers, trials: Iterator[tuple[Answers, SizeHW]], draft: Draft
) -> int:
    name = best.output.name
    known = best.classes or classes_before_argmax(graph, name) or draft.get("classes") or 0
    if best.is_binary:
        draft.guess("labels", find_label_set(BINARY))
    elif known:
        draft.guess("labels", usual(known))
    else:
        seen = [highest_label(answers[name]), *(highest_label(more[name]) for more, _ in trials)]
        draft.guess("labels", numbered(max(2, max(seen) + 1)))
    return known


def _read_pair(pair: Pair, answers: Answers, size_hw: SizeHW, path: Path, draft: Draft) -> int:
    kind = draft.get("output.kind")
    if kind not in pair.kinds:
        raise unfit(
            path,
            f"answers with {pair.what}" + ("" if kind is None else f", which are not {kind}"),
            f"what says how they are merged to classes: {' or '.join(pair.kinds)}",
            f"give output_kind={pair.kinds[0]!r}, or write `output.kind` into the sidecar",
        )
    masks = answers[pair.masks]
    draft.read("output.name", pair.name, "trial run")
    draft.read("output.masks", pair.masks, "trial run")
    draft.read("output.layout", "NCHW", "trial run")
    draft.read("output.stride", stride_of((masks.shape[2], masks.shape[3]), size_hw), "trial run")
    classes = classes_of(kind, answers[pair.name], masks)
    if classes is not None:
        draft.guess("labels", numbered(classes + 1) if kind == "yolo-seg" else usual(classes))
    return classes or 0


def _try(record: ModelRecord) -> NetworkSegmenter:
    """The record at work on an image of an odd size."""
    segmenter = open_network(record)
    segmenter(np.random.default_rng(1).integers(0, 256, (211, 317, 3)).astype(np.uint8))
    return segmenter


# ── What is not segmentation ──────────────────────────────────────────────────────────────────


def _no_segmentation(path: Path, shapes: dict[str, tuple[int, ...]], kind: str | None) -> ModelError:
    outputs = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    expected = "scores (1, classes, h, w) or labels" + ("" if kind is None else f" of kind {kind}")
    return unfit(path, f"answers with {outputs}{_resembles(list(shapes.values()))}", expected)


def _resembles(shapes: list[tuple[int, ...]]) -> str:
    if all(np.prod(s) == max(s, default=1) for s in shapes):
        return ": a classifier"
    if any(len(s) == 4 and s[1] == 1 for s in shapes):
        return ": a depth map, or another image of one channel"
    if (classes := max((s[1] for s in shapes if len(s) == 4), default=0)) > MOST_CLASSES:
        return f": {classes} classes, more than the {MOST_CLASSES} that labels of one byte can tell apart"
    if any(len(s) == 3 for s in shapes):
        return ": a detector of boxes, or tokens"
    return ""
