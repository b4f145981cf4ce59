"""`segtween table losses`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from segtween.cli import options, shared, texts
from segtween.cli.grouping import Rare, Without
from segtween.cli.options import MethodOptions, NetworkOptions
from segtween.cli.outputs import NoPlot, Presets
from segtween.cli.synth import StreetOptions
from segtween.errors import SettingError

if TYPE_CHECKING:
    from segtween.datasets import Dataset
    from segtween.reports.tables.conditions import Conditions
    from segtween.types import Progress


IntervalsAboveZero = Annotated[
    str, typer.Option("--intervals", metavar="LIST", rich_help_panel="Method", help="Intervals above 0, with commas.")
]
WithOffline = Annotated[bool, typer.Option("--offline/--no-offline", help="With a row of the offline mode.")]


@dataclass(frozen=True)
class LabelledOptions(options.LayoutOptions):
    """A data set with labels; without one, drives through the synthetic street are rendered."""

    PANEL: ClassVar[str] = "Data"

    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", metavar="NAME", help="A data set instead of the synthetic street: camvid, ..."),
    ] = None
    root: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the data set lies.")] = None
    label_map: shared.LabelMapName = None
    max_frames: shared.MaxFrames = None

    @contextmanager
    def open(
        self, street: DrivenOptions, *, network_labels: str | None, progress: Progress | None
    ) -> Iterator[Dataset]:
        """The data set, or the street's drives. SettingError where one of `dataset` and `root` lacks."""
        from segtween.reports.tables.losses import rendered

        if (self.dataset is None) != (self.root is None):
            raise SettingError(
                "--dataset or --root alone", expected="both, or neither", do="give both, or leave both out"
            )
        if self.dataset is None:
            with rendered(street.drives(), progress) as dataset:
                yield dataset
        else:
            yield self.labelled(network_labels=network_labels)


@dataclass(frozen=True)
class DrivenOptions(StreetOptions):
    """The drives that are rendered where no data set is given."""

    PANEL: ClassVar[str] = "Data"

    clips: Annotated[int, typer.Option(metavar="N", help="Street: how many drives.")] = 4
    seed: Annotated[int, typer.Option(metavar="N", help="Street: the first drive's seed, the next has the next.")] = 800


@dataclass(frozen=True)
class RowOptions:
    PANEL: ClassVar[str] = "Method"

    intervals: IntervalsAboveZero = "4"
    distance: Annotated[
        int | None, typer.Option(metavar="N", help="Frames since the key frame; the last before the next one.")
    ] = None
    offline: WithOffline = True
    per_class: Annotated[
        bool, typer.Option("--per-class", rich_help_panel="Output", help="With a row for each class.")
    ] = False


@contextmanager
def conditions(data: LabelledOptions, street: DrivenOptions, network: NetworkOptions) -> Iterator[Conditions]:
    """The data, opened or rendered, with a bar of the progress."""
    from segtween.cli.screen import progress_bar
    from segtween.reports.tables.conditions import Conditions

    with (
        progress_bar("losses") as progress,
        data.open(street, network_labels=network.label_set, progress=progress) as dataset,
    ):
        yield Conditions(
            dataset,
            map_name=data.label_map,
            max_frames=data.max_frames,
            threads=network.threads,
            command=texts.command_line(),
            progress=progress,
        )


def losses(
    *,
    data: Annotated[LabelledOptions, Rare("dataset_labels", "label_map")],
    street: Annotated[DrivenOptions, Without("truth"), Rare("frame_rate", "size")],
    network: Annotated[NetworkOptions, Rare(*options.SELDOM_RUNTIME)],
    presets: Presets = "composed",
    method: Annotated[
        MethodOptions,
        Without("preset"),
        options.BY_INTERVAL,
        Rare("refine", "edge", "flow_quality", "weights", "async_keys"),
    ],
    rows: RowOptions,
    output: NoPlot,
) -> None:
    """What propagation loses against the network on every frame: on thin things, where something was hidden, at edges.

    Examples:

        segtween table losses --seed 900 --clips 12 --traffic heavy -o tables/

        segtween table losses --dataset camvid --root CamVid --intervals 4,9 --per-class
    """
    from segtween.reports.tables.losses import losses_table

    names, chosen = texts.words(presets) or [], texts.numbers(rows.intervals, option="--intervals")
    changed = method.of_presets(names)
    default = names.index(MethodOptions.preset) if MethodOptions.preset in names else 0
    output.check("losses")
    with conditions(data, street, network) as measured:
        study = losses_table(
            measured,
            network.open(data=measured.dataset),
            presets=changed,
            default=list(changed)[default],
            intervals=chosen,
            distance=rows.distance,
            offline=rows.offline,
            per_class=rows.per_class,
        )
    output.finish(study)
