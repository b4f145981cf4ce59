#!/usr/bin/env python3
"""segtween's post-training quantisation and NNCF's: `python tools/compare_quantisation.py DATA`.

DATA is CamVid. Both calibrate on the same images, of the kinds that the shipped ranges were measured on, and round
weights to as many bits as this processor's int8 kernels take. Times are processor time: of a whole calibration, which
NNCF ends by correcting biases, and of a frame on one thread, the forms taking turns. The packages are those that NNCF
brings along.

NNCF is installed with segtween in a virtual environment of its own: `pip install . nncf`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from segtween.bench.baselines import Runs
from segtween.build import Processor
from segtween.datasets import Dataset, open_dataset
from segtween.metrics.segmentation import Segmentation
from segtween.models.finding import find_record
from segtween.models.records import ModelRecord
from segtween.models.weights import materialise
from segtween.run.calibration import calibrate, pictures
from segtween.runtimes.base import RuntimeOptions, pixel_affine
from segtween.runtimes.openvino import OpenVinoRuntime, int8_weight_bits
from segtween.runtimes.quantise import quantised
from segtween.segmenters.network import NetworkSegmenter, input_size, resize
from segtween.street.pictures import calibration_pictures
from segtween.types import Rgb

NETWORKS = ("swiftnet-lite0.camvid", "swiftnet-r18.camvid")
SOURCES, EACH = ("train/0001TP_*.png", "train/0006R0_*.png"), 64
TURNS = 7

Change = Callable[[Any], Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of CamVid")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--frames", type=int, help="frames of val, all by default")
    parser.add_argument("--images", type=int, default=EACH, help="images of each source to calibrate on (%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    if not int8_weight_bits():
        print("compare_quantisation: int8 cannot run here; expected a processor for which OpenVINO has int8 kernels")
        return 2
    sources = [str(options.data / source) for source in SOURCES]
    made = {"street": calibration_pictures}
    images = list(chain.from_iterable(pictures(s, options.images, made) for s in [*sources, "street"]))
    val = open_dataset("camvid", options.data, split="val").limited(options.frames)
    rows = [row for name in options.networks for row in compared(find_record(name), images, val)]
    sizes = packages("nncf", beside="segtween")
    figures = {
        "weight_bits": int8_weight_bits(),
        "images": len(images),
        "frames": sum(len(clip) for clip in val.clips),
        "rows": rows,
        "packages": {"number": len(sizes), "megabytes": sum(sizes.values()), "each": sizes},
        "nncf": importlib.metadata.version("nncf"),
    }
    if options.json:
        options.json.write_text(json.dumps(figures), encoding="utf-8")
    else:
        print(json.dumps(figures, indent=1))
    return 0


def compared(record: ModelRecord, images: list[Rgb], val: Dataset) -> Iterator[dict[str, Any]]:
    """float32, segtween's int8 and NNCF's: mIoU on val, and what calibrating and a frame take."""
    ways: dict[str, Callable[[], Change]] = {
        "float32": lambda: lambda graph: graph,
        "segtween": lambda: ours(record, images),
        "NNCF": lambda: nncfs(record, images),
    }
    found, took = dict[str, Runs](), dict[str, float]()
    for way, make in ways.items():
        began = process_time()
        change = make()
        took[way] = process_time() - began
        found[way] = opened(record, change)
        print(f"{record.name}, {way}: calibrated in {took[way]:.1f} s", file=sys.stderr, flush=True)
    exact = 0.0
    for way, times in in_turns(found, val.read_rgb(val.clips[0].frames[0])).items():
        miou = accuracy(found[way], val)
        exact = exact or miou
        yield {
            "network": record.name,
            "way": way,
            "miou": miou,
            "difference": miou - exact,
            "calibration_s": took[way],
            "frame_ms": 1000 * min(times),
        }


def ours(record: ModelRecord, images: list[Rgb]) -> Change:
    ranges = calibrate(record, images, threads=1)
    return lambda graph: quantised(graph, ranges, name=record.name, weight_bits=int8_weight_bits())


def nncfs(record: ModelRecord, images: list[Rgb]) -> Change:
    import nncf
    import openvino
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    fix = OverflowFix.ENABLE if int8_weight_bits() == 7 else OverflowFix.DISABLE
    with contextlib.redirect_stdout(sys.stderr):
        rounded = nncf.quantize(
            openvino.Core().read_model(materialise(record)),
            nncf.Dataset(images, lambda image: network_input(record, image)),
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(images),
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=fix),
        )
    return lambda _: rounded


def network_input(record: ModelRecord, image: Rgb) -> Any:
    """(1, 3, h, w) float32: what is inside the graph when segtween runs it."""
    mean, divisor = pixel_affine(record.input.scale, record.input.mean, record.input.std)
    resized = resize(image, input_size(record, (image.shape[0], image.shape[1])))
    return ((resized.astype(np.float32) - mean) / divisor).transpose(2, 0, 1)[None].astype(np.float32)


def opened(record: ModelRecord, change: Change) -> Runs:
    runtime = OpenVinoRuntime(
        materialise(record),
        outputs=(record.output.name,),
        pixels=record.input,
        options=RuntimeOptions(threads=1),
        change=change,
    )
    return Runs(NetworkSegmenter(record, runtime), Processor(1))


def in_turns(found: dict[str, Runs], rgb: Rgb) -> dict[str, list[float]]:
    """Seconds of processor time for one frame, several times each, the first left out."""
    times: dict[str, list[float]] = {way: [] for way in found}
    for _ in range(TURNS + 1):
        for way, run in found.items():
            began = process_time()
            run(rgb, is_key=True)
            times[way].append(process_time() - began)
    return {way: taken[1:] for way, taken in times.items()}


def accuracy(run: Runs, val: Dataset) -> float:
    metric = Segmentation(val.labels)
    for clip in val.clips:
        for frame in clip.frames:
            rgb = val.read_rgb(frame)
            truth = val.read_labels(frame, size_hw=rgb.shape[:2])
            if truth is not None:
                metric.update(run(rgb, is_key=True), truth)
    return float(metric.compute()["miou"])


def packages(wanted: str, *, beside: str) -> dict[str, float]:
    """Megabytes of each distribution that `wanted` needs and `beside` does not, as they are installed."""
    return {name: megabytes(name) for name in sorted(needed(wanted) - needed(beside))}


def needed(name: str) -> set[str]:
    found, left = set[str](), [name]
    while left:
        distribution = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if distribution in found:
            continue
        try:
            requires = importlib.metadata.requires(distribution) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # what another platform or Python needs
        found.add(distribution)
        left += [re.split(r"[^\w.-]", line)[0] for line in requires if "extra ==" not in line]
    return found


def megabytes(name: str) -> float:
    files = importlib.metadata.files(name) or []
    return sum(Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).is_file()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
