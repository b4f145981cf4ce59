"""Networks that carry scores between key frames, as files: `flow.onnx` and others, each with its record.

The record stands beside the graph (`refine.onnx.yaml`) and says what the graph wants to see and what it answers;
`segtween weights convert` (not of `attention.onnx`) and training write both. A *propagation model* is a folder of them:

| file | what it is |
| --- | --- |
| `flow.onnx` | flow network (current, previous image) -> flow |
| `refine.onnx` | refinement (carried scores, image) -> scores |
| `refine-no-edge.onnx` | the same without the edge as guidance, where there is one |
| `attention.onnx` | repair by borrowing (frame, key frame moved onto it, cells) -> shares and attention |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError
from segtween.models.records import SHIPPED, sidecar_path
from segtween.models.weights import sha256_of

ComponentKind = Literal["flow", "refinement", "attention"]
FLOW, REFINE, REFINE_WITHOUT_EDGE, ATTENTION = "flow.onnx", "refine.onnx", "refine-no-edge.onnx", "attention.onnx"


@dataclass(frozen=True)
class Component:
    """One graph and what its record says of it.

    `mean` and `std` are of pixels in 0..255 in the order of `channels`. `units`: so many of a flow's values are one
    pixel of the images that the network sees. `classes` is 0 for a flow network, and for a repair that
    serves any label set; `labels` names the label set of one that serves only that. `edge` says how a refinement is
    guided by the label map's edge: laplacian, zero or absent. `origin` is for people: the checkpoint that the graph was
    made of, where it was.
    """

    path: Path
    kind: ComponentKind
    network: str
    channels: Literal["RGB", "BGR"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multiple_of: int
    units: float = 1.0
    classes: int = 0
    edge: str | None = None
    labels: str = ""
    origin: str = ""

    def describe(self) -> dict[str, Any]:
        return {"network": self.network, "sha256": sha256_of(self.path)[:12]}

    def preprocess(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w, 3) RGB of 0..255 -> (1, 3, h, w) as the network wants it."""
        ordered = pixels if self.channels == "RGB" else pixels[..., ::-1]
        values = (ordered - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(np.moveaxis(values, 2, 0)[None], np.float32)


def read_component(path: str | Path, *, kind: ComponentKind) -> Component:
    """The graph's record. Raises ModelError where there is none, it is of another kind or lacks something."""
    import yaml

    path = Path(path)
    record_path = sidecar_path(path)
    try:
        values = yaml.safe_load(record_path.read_text(encoding="utf-8"))
        image = values["image"]
        found = values["kind"]
        part = Component(
            path,
            kind=found,
            network=str(values["network"]),
            channels=image["channels"],
            mean=tuple(float(v) for v in image["mean"]),
            std=tuple(float(v) for v in image["std"]),
            multiple_of=int(image["multiple_of"]),
            units=float(values.get("units", 1)),
            classes=int(values.get("classes", 0)),
            edge=values.get("edge"),
            labels=str(values.get("labels") or ""),
            origin=str((values.get("provenance") or {}).get("source") or path),
        )
    except OSError as error:
        raise ModelError(
            f"{record_path} cannot be read ({error.strerror})",
            expected=f"the record of {path.name}",
            do="make both with `segtween weights convert`",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise ModelError(
            f"{record_path} is no record of a flow or refinement network ({what})",
            expected="network, kind, image (channels, mean, std, multiple_of)",
            do="make it with `segtween weights convert`",
        ) from None
    if found not in get_args(ComponentKind) or found != kind:
        raise ModelError(f"{path} is of kind {found}", expected=f"kind {kind}", do="give another file")
    if not path.is_file():
        raise ModelError(f"graph {path} is not found", expected="the file beside its record", do="restore it")
    return part


def shipped_components(root: Path | None = None, *, holding: str = REFINE) -> dict[str, Path]:
    """Name -> folder of every propagation model that comes with the package and holds that file, sorted by name."""
    root = SHIPPED if root is None else root
    return {p.parent.name: p.parent for p in sorted(root.glob(f"*/{holding}"))}
