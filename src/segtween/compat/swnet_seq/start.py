"""What a training starts from: its clips, apart from those that judge it, and the weights that it begins with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segtween.compat.swnet_seq import weights
from segtween.compat.swnet_seq.clips import labelled_clips, need_root, split_exists
from segtween.compat.swnet_seq.flags import Options
from segtween.compat.swnet_seq.places import LAST, TRAINING, Places, RunLog
from segtween.datasets import Dataset
from segtween.errors import DatasetError
from segtween.texttable import count
from segtween.validation import whole_file
from segtween.video.staging import sink_errors

BEGUN = "begun_with"


def training_data(options: Options, log: RunLog) -> tuple[Dataset, Dataset]:
    """Clips to train on and clips to validate on: never the same ones.

    From the list files where they are given; else the splits `train` and `val`. Where the folder has no `train`, the
    last fifth of the clips of `val` validates and the others train.
    """
    before, judge = max(options.multi_step), options.longest
    if options.train_list or split_exists(options, "train"):
        learned = labelled_clips(options, split="train", listing=options.train_list, before=before)
        judged = labelled_clips(options, split=options.split or "val", listing=options.val_list, before=judge)
        return learned, _apart(learned, judged)
    if options.val_list:
        raise DatasetError(
            f"{need_root(options)} has no split train", expected="clips to train on", do="give --train-list FILE"
        )
    split = options.split or "val"
    whole = labelled_clips(options, split=split, listing="", before=max(before, judge))
    if len(whole.clips) < 2:
        raise DatasetError(
            f"{need_root(options)} has no split train, and {split} has 1 clip",
            expected="clips to train on and others to validate on",
            do="add a split train, or more clips",
        )
    kept = len(whole.clips) - max(1, len(whole.clips) // 5)
    log.say(
        f"note: no split train in {need_root(options)}; of the {len(whole.clips)} clips of {split} the first "
        f"{kept} train and the others validate"
    )
    return replace(whole, clips=whole.clips[:kept]), replace(whole, clips=whole.clips[kept:])


def _apart(learned: Dataset, judged: Dataset) -> Dataset:
    """The validation clips, if training sees none of their labelled frames."""
    known = {clip.frames[i].image_path.resolve() for clip in learned.clips for i in clip.labelled}
    both = [c.frames[i] for c in judged.clips for i in c.labelled if c.frames[i].image_path.resolve() in known]
    if both:
        raise DatasetError(
            f"{count(len(both), 'frame')} in both training and validation, first {both[0].name}",
            expected="other clips to validate on",
            do="correct --train-list and --val-list",
        )
    return judged


def begin_with(options: Options, places: Places, log: RunLog) -> list[Path]:
    """The weight files to begin with. ModelError for one that is missing.

    The first process copies them beside the training's own checkpoint: going on exactly (--reset-optimizer 0) needs
    the very files that it began with, and `checkpoint.pth.tar` changes with every epoch.
    """
    folder = places.checkpoints / TRAINING
    if goes_on(options, places):
        log.say(f"goes on from {folder / 'checkpoint.pt'}")
        return sorted(path for path in (folder / BEGUN).glob("*") if not path.name.startswith("."))
    own = places.checkpoints / LAST
    found: list[Path] = []
    if options.resume:
        found.append(own if own.is_file() else weights.propagation_file(options, places))
    if options.load_flow and options.optical_flow_network == "flownet" and own not in found:
        found.append(weights.flow_file(options))
    for path in found:
        log.say(f"begins with {path}{'' if options.load_flow else ', its refinement only'}")
    return _kept(found, folder / BEGUN, flow=options.load_flow)


def goes_on(options: Options, places: Places) -> bool:
    """Whether the experiment's last training is continued, its optimiser and order of clips included."""
    stored = places.checkpoints / TRAINING / "checkpoint.pt"
    return options.resume and not options.reset_optimizer and stored.is_file()


def _kept(found: Sequence[Path], folder: Path, *, flow: bool) -> list[Path]:
    """The files to read now; each process has its own where they are changed first."""
    from segtween.networks import convert_weights
    from segtween.training.processes import rank

    folder.mkdir(parents=True, exist_ok=True)
    if rank() == 0:
        for old in folder.glob("*"):
            old.unlink()
    if flow:
        for i, path in enumerate(found if rank() == 0 else ()):
            shutil.copyfile(path, folder / f"{i}-{path.name}")
        return list(found)
    owner = "" if rank() == 0 else f".{rank()}-"
    alone = [folder / f"{owner}{path.name}.safetensors" for path in found]
    for path, out in zip(found, alone, strict=True):
        convert_weights(path, out, part="state_dict", overwrite=True)
    return alone


def write_list(data: Dataset, path: Path, *, least: int, process: int) -> None:
    """One line `image label` for every labelled frame with `least` frames before it."""
    pairs = [(c.frames[i].image_path, c.frames[i].label_path) for c in data.clips for i in c.labelled if i >= least]
    text = "".join(f"{image.resolve()} {label.resolve()}\n" for image, label in pairs if label is not None)
    with sink_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, writer=f".{process}") as part:
            part.write_text(text, encoding="utf-8")
