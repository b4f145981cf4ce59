"""A runtime without a graph, for tests: a NumPy function answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from segtween.runtimes.base import Array


class FakeRuntime:
    """`function` takes the inputs and returns one array, or a list of one for each of `outputs`.

    The shape of every call's first input is kept in `calls`.
    """

    def __init__(
        self, function: Callable[..., Array | Sequence[Array]], *, outputs: tuple[str, ...] = ("scores",)
    ) -> None:
        self.function, self.outputs = function, outputs
        self.notes: list[str] = []
        self.calls: list[tuple[int, ...]] = []

    @property
    def precision(self) -> str:
        return "float32"

    @property
    def threads(self) -> int:
        return 1

    def run(self, *inputs: Array) -> list[Array]:
        self.calls.append(inputs[0].shape)
        answer = self.function(*inputs)
        return list(answer) if isinstance(answer, (list, tuple)) else [answer]  # type: ignore[list-item]

    def describe(self) -> dict[str, Any]:
        return {"runtime": "fake", "provider": "numpy", "precision": self.precision}
