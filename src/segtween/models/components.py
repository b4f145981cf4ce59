"""Networks that propagate scores between key frames, as files: `flow.onnx` and others, each with its record.

The record lies next to the graph (`refine.onnx.yaml`) and describes the graph's input and output;
`segtween weights convert` and training write both. A *propagation model* is a folder of them:

| file | what it is |
| --- | --- |
| `flow.onnx` | flow network (current, previous image) -> flow |
| `refine.onnx` | refinement (propagated scores, image) -> scores |
| `refine-no-edge.onnx` | the same without the edge as guidance, where there is one |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from segtween.errors import ModelError
from segtween.labels import MOST_CLASSES
from segtween.models.records import CORRECT, SHIPPED, Channels, Step, ThreeNumbers, ThreePositive, sidecar_path
from segtween.models.weights import sha256_of
from segtween.validation import Name, Positive, read_yaml, validate

ComponentKind = Literal["flow", "refinement"]
FLOW, REFINE, REFINE_WITHOUT_EDGE = "flow.onnx", "refine.onnx", "refine-no-edge.onnx"


@dataclass(frozen=True)
class Component:
    """One graph and what its record says of it.

    `mean` and `std` are of pixels in 0..255 in the order of `channels`. `units`: how many of a flow's values are one
    pixel of the images that the network sees. `classes` is 0 for a flow network. `edge` says how a refinement is guided
    by the label map's edge: laplacian, zero or absent. `origin` is for people: the checkpoint that the graph was made
    of.
    """

    path: Path
    kind: ComponentKind
    network: str
    channels: Channels
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multiple_of: int
    units: float = 1.0
    classes: int = 0
    edge: str | None = None
    origin: str = ""

    def describe(self) -> dict[str, Any]:
        return {"network": self.network, "sha256": sha256_of(self.path)[:12]}

    def preprocess(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w, 3) RGB of 0..255 -> (1, 3, h, w) as the network wants it."""
        ordered = pixels if self.channels == "RGB" else pixels[..., ::-1]
        values = (ordered - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(np.moveaxis(values, 2, 0)[None], np.float32)


@dataclass(frozen=True)
class _Image:
    """The pixels of the graph's input."""

    channels: Channels
    mean: ThreeNumbers
    std: ThreePositive
    multiple_of: Step
    scale: Literal[255] = 255


@dataclass(frozen=True)
class _Form:
    """A record file. `graph` and what follows it is for people: the graph itself says the same."""

    network: Name
    kind: ComponentKind
    image: _Image
    units: Positive = 1.0
    classes: Annotated[int, Interval(ge=0, le=MOST_CLASSES)] = 0
    edge: Literal["laplacian", "zero", "absent"] | None = None
    provenance: Mapping[Any, Any] | None = None
    graph: Any = None
    inputs: Any = None
    outputs: Any = None
    stride: Any = None


def read_component(path: str | Path, *, kind: ComponentKind) -> Component:
    """The graph's record. Raises ModelError where there is none, it is of another kind or lacks something."""
    path = Path(path)
    record_path, again = sidecar_path(path), "make both with `segtween weights convert`"
    if not record_path.is_file():
        raise ModelError(f"{record_path} is not found", expected=f"the record of {path.name}", do=again)
    values = read_yaml(record_path, what="record", expected=f"the record of {path.name}", do=again, error=ModelError)
    form = validate(_Form, values, source=str(record_path), do=CORRECT, error=ModelError)
    if form.kind != kind:
        raise ModelError(f"{path} is of kind {form.kind}", expected=f"kind {kind}", do="give another file")
    if not path.is_file():
        raise ModelError(f"graph {path} is not found", expected="the file beside its record", do="restore it")
    image = form.image
    return Component(
        path,
        kind=form.kind,
        network=form.network,
        channels=image.channels,
        mean=image.mean,
        std=image.std,
        multiple_of=image.multiple_of,
        units=form.units,
        classes=form.classes,
        edge=form.edge,
        origin=str((form.provenance or {}).get("source") or path),
    )


def shipped_components() -> dict[str, Path]:
    """Name -> folder of every propagation model that comes with the package, sorted by name."""
    return {p.parent.name: p.parent for p in sorted(SHIPPED.glob(f"*/{REFINE}"))}
