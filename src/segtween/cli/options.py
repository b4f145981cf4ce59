"""Options that several commands share in groups (`cli.grouping`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from segtween.cli import shared, texts
from segtween.cli.grouping import Without
from segtween.errors import SettingError
from segtween.flow import flow_names, flow_paths
from segtween.settings import DEFAULT_MODEL, DEFAULT_PRESET
from segtween.types import method_name

if TYPE_CHECKING:
    from segtween.datasets import Dataset
    from segtween.device.backend import Device
    from segtween.interfaces import Segmenter
    from segtween.run.modes import ModeName
    from segtween.settings import Settings

AUTO: Literal["auto"] = "auto"
TRUE_LABELS = Path("labels")
"""As `--scores`: the true labels of a data set stand in for the network's scores."""


@dataclass(frozen=True)
class NetworkOptions:
    """The network and how it runs. `scores` is the same as a `model` that ends in .npz."""

    PANEL: ClassVar[str] = "Network"

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|FILE",
            help="A shipped network, an .onnx file, hf:NAME of the Hugging Face hub, file.py:build of a torch network, "
            "stored scores (.npz), or a function as pkg:fn.",
        ),
    ] = DEFAULT_MODEL
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|labels",
            help="Stored scores (.npz) instead of a network, as with --model; labels: the data set's true ones.",
        ),
    ] = None
    label_set: shared.LabelSetName = None
    runtime: Annotated[str, typer.Option(metavar="NAME", help="openvino or onnxruntime.")] = "openvino"
    provider: Annotated[
        str | None, typer.Option(metavar="NAME", help="Device or execution provider of the runtime.")
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(metavar="P", help="auto, float32 (default), bfloat16 or int8; with --device also float16."),
    ] = None
    scale: Annotated[
        str,
        typer.Option(
            metavar="auto|S",
            help="The network gets the frame scaled by this factor; auto: near the size of its training frames, where "
            "its record says it.",
        ),
    ] = AUTO
    mean: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Of a torch network's pixels in 0..1; ImageNet's by default.")
    ] = None
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="Of a torch network's pixels in 0..1, likewise.")] = (
        None
    )
    channels: Annotated[Literal["RGB", "BGR"] | None, typer.Option(metavar="ORDER", help="RGB or BGR, likewise.")] = (
        None
    )
    input_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="The one size that a torch network takes; any by default.")
    ] = None
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Of a network that scores each class for itself: a class is where its probability is above it.",
        ),
    ] = None
    threads: shared.Threads = 0
    network_threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel="Machine",
            help="Processors for the network alone; with --async-keys the others propagate.",
        ),
    ] = None

    def sees(self) -> dict[str, Any]:
        """What a torch network sees, as `segmenters.Preprocessing.of` takes it."""
        return {
            "mean": None if self.mean is None else texts.scales(self.mean, option="--mean"),
            "std": None if self.std is None else texts.scales(self.std, option="--std"),
            "channels": self.channels,
            "size_hw": None if self.input_size is None else texts.size(self.input_size, option="--input-size"),
        }

    def chosen_model(self) -> str:
        """`model`, or the stored scores that stand in for it; SettingError where both are given."""
        if self.scores is not None and self.model != DEFAULT_MODEL:
            raise SettingError(
                f"--scores {self.scores} and --model {self.model}", expected="one of them", do="leave one out"
            )
        return self.model if self.scores is None else str(self.scores)

    def for_load(self) -> dict[str, Any]:
        """As `api.load` takes them. SettingError for true labels, which only a data set has."""
        if self.scores == TRUE_LABELS:
            raise _true_labels_without_data()
        others = ("scores", "input_size")
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in others}
        return {**own, **self.sees(), "model": self.chosen_model(), "scale": self.chosen_scale()}

    def chosen_scale(self) -> float | Literal["auto"]:
        """SettingError for what is neither a number nor auto."""
        if self.scale == AUTO:
            return AUTO
        try:
            return float(self.scale)
        except ValueError:
            raise SettingError(
                f"--scale is {self.scale!r}", expected="auto, or a number above 0", do="give --scale auto"
            ) from None

    def open(
        self,
        *,
        scale: float | Literal["auto"] | None = None,
        data: Dataset | None = None,
        background: bool = False,
        device: Device | None = None,
    ) -> Segmenter:
        """The segmenter; `scale` instead of the option's. True labels are those of `data`. `background`: for
        asynchronous key frames. Of a device other than `cpu` it takes frames in its memory.

        Raises what `segmenters.open_segmenter` and `evaluation.truth.true_labels` raise.
        """
        from segtween.segmenters import Preprocessing, open_segmenter

        model = self.chosen_model()
        if self.scores == TRUE_LABELS:
            from segtween.evaluation.truth import true_labels

            if data is None:
                raise _true_labels_without_data()
            truth = true_labels(data)
            return truth if device is None else device.fetching(truth)
        return (open_segmenter if device is None else device.segmenter)(
            model,
            runtime=self.runtime,
            provider=self.provider,
            precision=self.precision,
            threads=self.threads if self.network_threads is None else self.network_threads,
            scale=self.chosen_scale() if scale is None else scale,
            label_set=self.label_set,
            background=background,
            preprocessing=Preprocessing.of(**self.sees()),
            threshold=self.threshold,
        )


def _true_labels_without_data() -> SettingError:
    return SettingError(
        "--scores labels",
        expected="a command that measures on a data set with labels",
        do="use segtween evaluate, table intervals, table methods, table ablation or table budgets",
    )


@dataclass(frozen=True)
class MethodOptions:
    """The preset, and single settings of it that are to differ: fields named like those of `build.Settings`."""

    PANEL: ClassVar[str] = "Method"

    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Preset of the method: composed, blend, warp, swnet-seq.",
        ),
    ] = DEFAULT_PRESET
    refine: Annotated[
        Literal["guided", "none"] | None,
        typer.Option(metavar="KIND", help="Refinement of propagated scores: guided (convolution) or none."),
    ] = None
    edge: Annotated[
        bool | None,
        typer.Option("--edge/--no-edge", help="With guided refinement: give it the edges of the prediction."),
    ] = None
    match: Annotated[
        Literal["none", "fast", "fine"] | None,
        typer.Option(metavar="NAME", help="Matching of composed flow by appearance: none, fast, fine."),
    ] = None
    flow: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help=f"Optical flow: {', '.join(flow_names())}; {flow_paths()}.")
    ] = None
    flow_quality: Annotated[
        Literal["fast", "balanced", "fine"] | None,
        typer.Option(metavar="NAME", help="How finely dis searches: fast, balanced, fine."),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="Weights of refinement and flow network: a published checkpoint, a trained folder or a shipped name.",
        ),
    ] = None

    schedule: Annotated[
        Literal["fixed", "adaptive"] | None,
        typer.Option(
            metavar="KIND",
            help="Key frames at a fixed interval, or adaptive: where propagated scores become unreliable.",
        ),
    ] = None
    budget: Annotated[float | None, typer.Option(metavar="N", help="Adaptive: network runs per 100 frames.")] = None
    target_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="Adaptive, instead of a budget: mean milliseconds per frame.")
    ] = None
    least_distance: Annotated[
        int | None, typer.Option(metavar="N", help="Adaptive: fewest frames from one key frame to the next (1).")
    ] = None
    most_distance: Annotated[
        int | None, typer.Option(metavar="N", help="Adaptive: most frames from one key frame to the next (30).")
    ] = None
    async_keys: Annotated[
        str | None,
        typer.Option(
            metavar="auto|N",
            help="Frames go on while the network runs; its scores arrive N frames late, or when they are ready (auto).",
        ),
    ] = None

    key_tta: Annotated[
        Literal["none", "mirror", "scales"] | None,
        typer.Option(
            metavar="KIND",
            rich_help_panel="Network",
            help="At key frames: mean of the scores of frame and mirror image (mirror), also at 0.75 and 1.25 "
            "(scales).",
        ),
    ] = None

    @property
    def name(self) -> str:
        """The preset's name, with a star where single settings differ."""
        return method_name(self.preset, changed=bool(self._changes()))

    def settings(self, mode: ModeName | None = None) -> Settings:
        """The preset with the changes, in a mode if one is asked for.

        Raises SettingError for an unknown preset and for settings that contradict it.
        """
        from segtween.settings import change, find_preset

        asked = {} if mode is None else {"mode": mode}
        return change(find_preset(self.preset), **self._changes(), **asked)

    def measured(self, mode: ModeName | None, *, at: int | None = None) -> dict[str, Settings]:
        """The method as it is measured, by name: in the mode that was asked for, else in both where files may have
        either; `at` an interval."""
        from segtween.run.modes import each_mode

        settings = self.settings(mode)
        return each_mode({self.name: settings if at is None else settings.at(at)}, mode)

    def for_load(self) -> dict[str, Any]:
        """As `api.load` takes them: the preset, and the changes."""
        return {"preset": self.preset, **self._changes()}

    def of_presets(self, names: Sequence[str]) -> dict[str, Settings]:
        """Several presets by name, each with the changes and then starred; one that cannot take them stays as it is.

        Raises SettingError for an unknown preset, and where no preset can take the changes.
        """
        from segtween.settings import change, find_preset

        chosen: dict[str, Settings] = {}
        refused: list[SettingError] = []
        for name in names:
            preset = find_preset(name)
            try:
                changed = change(preset, **self._changes())
            except SettingError as error:
                refused.append(error)
                changed = preset
            chosen[method_name(name, changed=changed != preset)] = changed
        if refused and len(refused) == len(names):
            raise refused[0]
        return chosen

    def _changes(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "preset"}
        if self.async_keys is not None and self.async_keys.isdecimal():
            values["async_keys"] = int(self.async_keys)
        return {name: value for name, value in values.items() if value is not None}


SEEN = ("mean", "std", "channels", "input_size", "threshold")
"""What a network in torch sees, and from where on a class is there."""
SELDOM_NETWORK = ("scores", "label_set", "runtime", "provider", "precision", "scale", *SEEN, "network_threads")
SELDOM_RUNTIME = ("label_set", "runtime", "provider", "precision", "threads", "network_threads", *SEEN)
SELDOM_METHOD = (
    "refine", "edge", "match", "flow", "flow_quality", "weights", "schedule", "budget", "target_ms", "least_distance",
    "most_distance", "async_keys", "key_tta",
)  # fmt: skip
SELDOM_OUTPUT = ("classes", "alpha", "outline", "ids", "palette", "background", "unknown_below")
"""What `--help` leaves out of the network's, the method's and the output's options where a command has many others."""

BY_INTERVAL = Without("schedule", "budget", "target_ms", "least_distance", "most_distance")
"""Marks the method of a command that shows or times whole intervals: its schedule is fixed."""


@dataclass(frozen=True)
class LayoutOptions:
    """A data set in a known layout, of which a command needs to have none."""

    dataset: str | None
    root: Path | None
    split: shared.Split = "val"
    dataset_labels: shared.DatasetLabels = None

    def labelled(self, *, network_labels: str | None) -> Dataset:
        """The data set that is named; a layout without a label set of its own takes the network's."""
        from segtween.datasets import DATASETS, open_dataset

        name, labels = str(self.dataset), self.dataset_labels
        if labels is None and name in DATASETS and not DATASETS[name].names_classes:
            labels = network_labels
        return open_dataset(name, str(self.root), split=self.split, labels=labels)


@dataclass(frozen=True)
class DataOptions(LayoutOptions):
    """Labelled clips that a method is judged on."""

    PANEL: ClassVar[str] = "Data"

    dataset: Annotated[
        str, typer.Option("--dataset", "-d", metavar="NAME", help="Layout: camvid, cityscapes, folders or vspw.")
    ]
    root: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the data set lies.")]
    label_map: shared.LabelMapName = None
    max_frames: shared.MaxFrames = None


@dataclass(frozen=True)
class InputOptions(LayoutOptions):
    """Frames from a video or from a data set, one of the two."""

    PANEL: ClassVar[str] = "Input"

    video: Annotated[str | None, typer.Argument(metavar="INPUT", help="A video or image folder.")] = None
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", metavar="NAME", help="Or a data set: camvid, cityscapes, ...")
    ] = None
    root: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the data set lies.")] = None

    INPUTS: ClassVar[tuple[str, ...]] = ("video", "dataset")
    EXPECTED: ClassVar[str] = "either a video, or --dataset with --root"

    def open_dataset(self, *, network_labels: str | None) -> Dataset | None:
        """None where the frames come from elsewhere. SettingError unless exactly one input is given."""
        given = [name for name in self.INPUTS if getattr(self, name) is not None]
        if len(given) != 1 or (self.dataset is None) != (self.root is None):
            raise SettingError("the input is not clear", expected=self.EXPECTED, do="give one of them")
        return None if self.dataset is None else self.labelled(network_labels=network_labels)


def device(
    name: str, *, threads: int, without: Sequence[str] = ("compiled",), keeps_frame: bool = False
) -> Device | None:
    """What `--device` names, opened; None for the processor. Raises what `build.open_backend` raises.

    Networks are not compiled unless asked for, which takes half a minute.
    """
    from segtween.device import CPU

    if name == CPU:
        return None
    from segtween.build import Processor
    from segtween.device.backend import open_device

    return open_device(name, processor=Processor(threads), without=tuple(without), keeps_frame=keeps_frame)
