"""The common form of speed reports: a header that says what was measured, figures for JSON, tables and remarks."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segtween.adapters.cache import versions as installed
from segtween.bench.plan import Plan, RatePlan, clip_name
from segtween.interfaces import Segmenter, scale_of
from segtween.texttable import TextTable
from segtween.types import Method, SizeHW, format_size

PACKAGES = ("segtween", "numpy", "opencv-python-headless", "numba", "openvino", "onnxruntime", "torch")


class Report(ABC):
    """The outcome of a measurement."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What the JSON file holds."""

    @abstractmethod
    def tables(self) -> list[TextTable | str]:
        """What is printed: the figures, and what has to be known to read them."""


@dataclass(frozen=True)
class Header:
    """What was measured: the method, the network as it describes itself, frames of `size_hw` of a clip that the network
    sees at `scale`, on `threads` threads (None on a device, which has none of its own)."""

    method: Method
    network: dict[str, Any]
    size_hw: SizeHW
    clip: str
    scale: float
    threads: int | None
    versions: dict[str, str]
    notes: Sequence[str]

    @classmethod
    def of(
        cls,
        segmenter: Segmenter,
        method: Method,
        *,
        plan: Plan | RatePlan,
        threads: int | None = None,
        notes: Sequence[str] = (),
    ) -> Header:
        """Of a segmenter, whose own notes come before the others, on the plan's frames."""
        return cls(
            method=method,
            network=segmenter.describe(),
            size_hw=plan.size_hw,
            clip=clip_name(plan.clip),
            scale=scale_of(segmenter, plan.size_hw),
            threads=threads,
            versions=versions(),
            notes=list(dict.fromkeys([*getattr(segmenter, "notes", []), *notes])),
        )

    @property
    def frames(self) -> str:
        """`2048x1024 (width x height) of the clip street`."""
        return f"{format_size(self.size_hw)} (width x height) of the clip {self.clip}"

    @property
    def model(self) -> str:
        return str(self.network.get("name", "callable"))

    @property
    def runtime(self) -> str:
        """`openvino in float32`."""
        return f"{self.network.get('runtime', 'python')} in {self.network.get('precision', 'unknown')}"

    @property
    def title(self) -> str:
        return f"{self.model} on frames of {self.frames}, scale {self.scale:g}, {self.runtime}"

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "size_hw": list(self.size_hw),
            "clip": self.clip,
            "scale": self.scale,
            "model": self.model,
            "runtime": self.network.get("runtime", "python"),
            "precision": self.network.get("precision", "unknown"),
            **({} if self.threads is None else {"threads": self.threads}),
            "versions": self.versions,
            "notes": list(self.notes),
        }

    def remarks(self, basis: str) -> list[str]:
        """The method and what its figures are based on, the versions, the notes."""
        return [
            f"method {self.method.name} {self.method.hash}, {self.method.mode_word}" + (f"; {basis}" if basis else ""),
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            *self.notes,
        ]


@dataclass(frozen=True)
class MethodReport(Report):
    """The base of reports of one method, each of which adds figures, tables and remarks to the header."""

    header: Header

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """What the JSON holds besides the header."""

    @abstractmethod
    def figure_tables(self) -> list[TextTable]: ...

    def remarks(self) -> list[str]:
        """What a reader of the tables has to know besides the header."""
        return []

    @property
    def basis(self) -> str:
        """What the figures are, where the tables do not say it: `medians of 7 periods`."""
        return ""

    def to_json(self) -> dict[str, Any]:
        return {**self.header.to_json(), **self.figures()}

    def tables(self) -> list[TextTable | str]:
        return [*self.figure_tables(), "\n".join([*self.remarks(), *self.header.remarks(self.basis)])]


def versions(*others: str) -> dict[str, str]:
    """Of Python and of the packages that decide about speed, and of `others`, where they are installed."""
    return {"python": platform.python_version(), **installed((*PACKAGES, *others))}
