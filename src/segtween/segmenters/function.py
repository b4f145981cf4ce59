"""A segmenter made of any Python callable."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import LabelError, ModelError, ScoresError, SegtweenError, one_line_of_kind
from segtween.labels import Which
from segtween.labels import label_set as find_label_set
from segtween.segmenters.answers import Answer
from segtween.segmenters.scores import REDUCED_STRIDE, Scores, check_finite, logits_from_probabilities
from segtween.types import Rgb, SizeHW, check_rgb, size_of


class CallableSegmenter:
    """`function` takes RGB uint8 (H, W, 3) and returns scores (C, h, w) or (1, C, h, w) of any number type, or a
    label map (H, W) of whole numbers.

    The scores' grid has to span the image. Probabilities (each cell from 0 to 1, classes summing to 1)
    are recognised and turned into their logarithms, grids finer than stride 4 are reduced to it, and
    label maps become scores as `segmenters.scores.LABEL_LOGIT` says. PyTorch tensors will do.

    `label_set` may be left out where the function has an attribute `labels`. Raises LabelError without
    either; ScoresError, when called, for anything else that the function does.
    """

    def __init__(
        self,
        function: Callable[[Rgb], Any],
        label_set: Which | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.function = function
        self.name = name or getattr(function, "__name__", None) or type(function).__name__
        given = getattr(function, "labels", None) if label_set is None else label_set
        if given is None:
            raise LabelError(
                f"function {self.name!r} comes without labels",
                expected="the names of its classes",
                do="give label_set=NAME: a label set's name, a YAML file or a list of names",
            )
        self.labels = find_label_set(given)

    def __call__(self, rgb: Rgb) -> Scores:
        answer, kept_hw = self._answer(check_rgb(rgb))
        return answer.scores(labels_of=self.labels, who=self._who, grid_hw=kept_hw)

    def detailed(self, rgb: Rgb) -> tuple[Scores, NDArray[Any] | None]:
        """The logits, and what they leave out (`interfaces.Detailed`): of scores and labels on a finer grid all."""
        (answer, kept_hw), size_hw = self._answer(check_rgb(rgb)), size_of(rgb)
        scores = answer.scores(labels_of=self.labels, who=self._who, grid_hw=kept_hw)
        return scores, answer.detail(size_hw, kept_hw, labels_of=self.labels, who=self._who)

    @property
    def _who(self) -> str:
        return f"function {self.name!r}"

    def _answer(self, image: Rgb) -> tuple[Answer, SizeHW]:
        """What the function returns, and the grid that scores are kept on: its own, or that of stride 4 if it is
        finer."""
        who = self._who
        with _failures(
            ScoresError,
            lambda said: f"{who} failed with {said}",
            expected="scores (classes, height, width)",
            do="correct the function",
        ):
            returned = self.function(image)
        values = self._planes(_as_array(returned, who), who)
        most = [-(-side // REDUCED_STRIDE) for side in image.shape[:2]]
        kept_hw = min(values.shape[-2], most[0]), min(values.shape[-1], most[1])
        if values.ndim == 2:
            return Answer(labels=values), kept_hw
        scores = check_finite(values.astype(np.float32), labels_of=self.labels, who=who, do="correct the function")
        return Answer(logits_from_probabilities(scores) if are_probabilities(scores) else scores), kept_hw

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "runtime": "callable", "labels": self.labels.name, "precision": "its own"}

    def _planes(self, values: NDArray[Any], who: str) -> NDArray[Any]:
        """(C, h, w) or whole numbers (H, W); ScoresError for every other shape and type."""
        classes, shape = len(self.labels), values.shape
        if values.dtype.kind not in "fiub":
            raise ScoresError(f"{who} returned {values.dtype}", expected="numbers", do="return scores (C, h, w)")
        while values.ndim > 2 and values.shape[0] == 1 and (values.ndim == 4 or classes > 1):
            values = values[0]
        if 0 not in shape and values.ndim == 2 and values.dtype.kind in "iub":
            return values
        if 0 not in shape and values.ndim == 3 and values.shape[0] == classes:
            return values
        last = values.ndim == 3 and values.shape[2] == classes
        raise ScoresError(
            f"{who} returned {values.dtype} of shape {shape}",
            expected=f"({classes}, height, width) for the {classes} classes of label set {self.labels.name!r}",
            do="put the classes first: scores.transpose(2, 0, 1)" if last else "correct the function or the labels",
        )


@contextmanager
def _failures(error: type[SegtweenError], got: Callable[[str], str], *, expected: str, do: str) -> Iterator[None]:
    """Turns whatever the user's code raises, SystemExit too but not Ctrl-C, into such an `error`; `got` puts what it
    says into words."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        raise error(got(one_line_of_kind(problem)), expected=expected, do=do) from problem


def load_function(spec: str) -> Callable[[Rgb], Any]:
    """The callable of `module:name` or `file.py:name`; ModelError says what is missing.

    Modules are looked for in the current folder too.
    """
    where, _, name = spec.rpartition(":")
    with _failures(
        ModelError,
        lambda said: f"{where} cannot be imported ({said})",
        expected="module:function or file.py:function",
        do="check its name, and that it imports by itself",
    ):
        module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
    function = getattr(module, name, None)
    if not callable(function):
        raise ModelError(
            f"{where} has no function {name!r}",
            expected="a function: RGB (H, W, 3) uint8 -> scores (C, h, w)",
            do="check its name",
        )
    return function


def build(loaded: Any, *, name: str, is_right: Callable[[Any], bool]) -> Any:
    """What a function or class without a required argument gives; None for one that takes a frame.

    ModelError where it fails, or gives what is not `is_right`.
    """
    try:
        parameters = inspect.signature(loaded).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL or (p.default is p.empty and p.kind is not p.VAR_KEYWORD) for p in parameters):
        return None
    with _failures(
        ModelError,
        lambda said: f"{name} failed with {said}",
        expected="a function without arguments that builds a network",
        do="correct it",
    ):
        built = loaded()
    if not is_right(built):
        raise ModelError(
            f"{name} takes no argument and gives {type(built).__name__}",
            expected="a torch.nn.Module, or a function of a frame: RGB (H, W, 3) uint8 -> scores (C, h, w)",
            do="correct the function",
        )
    return built


def _load_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)


def _as_array(returned: Any, who: str) -> NDArray[Any]:
    if hasattr(returned, "detach"):  # a PyTorch tensor, perhaps on another device or with its gradient
        returned = returned.detach().cpu().float().numpy() if returned.is_floating_point() else returned.cpu().numpy()
    if not isinstance(returned, np.ndarray):
        raise ScoresError(
            f"{who} returned {type(returned).__name__}",
            expected="an array of scores (C, h, w)",
            do="return the array itself, for dictionaries and tuples the entry with the scores",
        )
    return returned


def are_probabilities(scores: Scores) -> bool:
    """Whether each cell of (C, h, w), of two classes or more, sums to 1."""
    if len(scores) < 2 or scores.min() < 0 or scores.max() > 1 + 1e-3:
        return False
    return bool(np.abs(scores.sum(axis=0) - 1).max() < 1e-2)
