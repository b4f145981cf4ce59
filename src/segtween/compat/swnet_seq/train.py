"""`--evaluate 0`: the reference's training, by its own flags.

Flow and refinement are trained by `segtween.training`; here every flag finds its place in a recipe, each epoch is
validated with the engine as `--evaluate 1` would, and weights are kept under the reference's names.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segtween.compat.swnet_seq import weights
from segtween.compat.swnet_seq.clips import LAYOUTS, labelled_clips, need_root, split_exists
from segtween.compat.swnet_seq.evaluate import Scores, measure
from segtween.compat.swnet_seq.flags import Options
from segtween.compat.swnet_seq.outputs import Strips
from segtween.compat.swnet_seq.passes import Moment, Passes, windows_of
from segtween.compat.swnet_seq.places import BEST, BEST_KEY_NETWORK, LAST, TRAINING, Places, RunLog
from segtween.datasets import Dataset
from segtween.errors import DatasetError, SettingError
from segtween.settings import Settings
from segtween.texttable import count
from segtween.types import Rgb, SizeHW, format_size
from segtween.validation import whole_file
from segtween.video.staging import sink_errors

if TYPE_CHECKING:
    from segtween.compat.swnet_seq.training import PropagationRecipe
    from segtween.training import Epoch, TrainOptions

SIDES = 32
SCALES, FLIP = (1.0, 2.0), 0.5
COLOURS = (0.8, 1.25)
CLASS_POWER = 0.35
"""What the reference does not say in numbers: sizes of a training clip against one that just fills the crop, chance of
mirroring, factors of brightness, contrast and saturation; how much rare classes weigh (`ChainLoss.class_power`)."""


def train(options: Options, places: Places, log: RunLog) -> dict[str, Any]:
    """Train, validate each epoch, keep the last and the best; returns the report.

    Raises SettingError, DatasetError, ModelError or MissingExtraError.
    """
    from segtween.training import TrainOptions
    from segtween.training.processes import rank

    key_network = weights.key_network_file(options, places)
    begin = begin_with(options, places, log)
    learned, judged = training_data(options, log)
    # Every process writes it, each whole and all alike, so that none has to wait for another.
    listing = places.checkpoints / TRAINING / "train_list.txt"
    write_list(learned, listing, least=max(options.multi_step), process=rank())
    recipe = recipe_of(options, key_network, learned, listing)
    keeper = Keeper(options, places, log, judged, key_network)
    log.say(f"training clips: {len(learned.clips)}, validation clips: {len(judged.clips)}")
    log.say(f"network of key frames: {key_network}")
    report = _trained(
        recipe,
        TrainOptions(
            out=places.checkpoints / TRAINING,
            resume=goes_on(options, places),
            device="cpu" if options.device == "cpu" else _gpu(log),
            events=places.run,
            on_epoch=keeper,
            init=tuple(begin),
            readers=options.num_worker,
        ),
    )
    log.say(f"last epoch: {places.checkpoints / LAST}; best by validation: {places.checkpoints / BEST}")
    return {"options": options.to_json(), "best_validation": keeper.best, **report}


def _trained(recipe: PropagationRecipe, how: TrainOptions) -> dict[str, Any]:
    """`segtween.training.train`, whose advice about a changed recipe is given in our flags."""
    from segtween.training import train

    try:
        return train(recipe, how)
    except SettingError as error:
        if "was made with another" not in error.got:
            raise
        do = "give --reset-optimizer 1 to begin a new training with its weights, or another --checkname"
        raise SettingError(error.got, expected=error.expected, do=do) from None


def recipe_of(options: Options, key_network: Path, learned: Dataset, listing: Path) -> PropagationRecipe:
    """Every training flag in its place."""
    from segtween.compat.swnet_seq.training import ChainLoss, Clips, PropagationRecipe, Rates
    from segtween.training import Augment

    crop_hw = (options.crop_height, options.crop_width) if options.use_crop else _whole(learned)
    if any(side % SIDES for side in crop_hw):
        raise SettingError(
            f"--crop-width {crop_hw[1]} --crop-height {crop_hw[0]}",
            expected=f"multiples of {SIDES}",
            do=f"give --crop-width {_nearest(crop_hw[1])} --crop-height {_nearest(crop_hw[0])}",
        )
    # The reference's weight and rates belong to a divergence averaged over pixels and classes; ours adds classes up.
    classes = len(LAYOUTS[options.dataset].labels)
    return PropagationRecipe(
        name=f"{options.segnet}_{options.checkname}",
        segmenter=str(key_network),
        network=weights.NETWORKS[options.segnet][1],
        labels=LAYOUTS[options.dataset].labels.name,
        scale=options.eval_scale,
        train=(Clips(kind="list-clips", name="train", list=str(listing.resolve())),),
        flow="flow-light" if options.optical_flow_network == "light" else "flownets",
        edge="laplacian" if options.edge else "absent",
        train_flow=options.train_optical_flow,
        finetune_all=options.finetune_all,
        freeze_norms=options.freeze_bn,
        epochs=options.epoch,
        batch=options.batch_size,
        crop=format_size(crop_hw),
        chain=options.multi_step,
        augment=Augment(
            scale=SCALES if options.use_crop else (1.0, 1.0),
            flip=FLIP,
            brightness=COLOURS,
            contrast=COLOURS,
            saturation=COLOURS,
        ),
        optimiser=Rates(
            kind=options.optim,
            intra=options.lr,
            guide=options.guide_lr,
            flow=options.optical_flow_lr,
            weight_decay=options.weight_decay,
            every=options.step_scheduler,
            gamma=options.lr_gamma,
        ),
        loss=ChainLoss(
            ce=options.param_ce,
            distil=options.param_ce_distil / classes if options.distil else 0.0,
            class_power=CLASS_POWER,
        ),
        seed=options.seed,
        early_stop=options.early_stop,
    )


class Keeper:
    """After each epoch: writes `checkpoint.pth.tar`, validates it, and keeps the best as `model_best.pth.tar`."""

    def __init__(self, options: Options, places: Places, log: RunLog, judged: Dataset, key_network: Path) -> None:
        self.options, self.places, self.log, self.judged = options, places, log, judged
        self.key_network = key_network
        self.best: float | None = None
        if options.resume and not options.reset_best_pred:
            self.best = _stored_best(places.checkpoints / BEST)

    def __call__(self, epoch: Epoch) -> float:
        from segtween.training.checkpoint import save

        last, trained = self.places.checkpoints / LAST, self.places.checkpoints / ".key_network_last.pt"
        if epoch.segmenter is not None:
            save(trained, epoch.segmenter)
        scores = self._validate(epoch, trained if epoch.segmenter is not None else self.key_network)
        score = scores.mean(sorted(scores.counts)) or 0.0
        better = self.best is None or score > self.best
        self.best = score if better or self.best is None else self.best
        save(last, _content(epoch, self.best))
        if better:
            save(self.places.checkpoints / BEST, _content(epoch, score))
            if epoch.segmenter is not None:
                save(self.places.checkpoints / BEST_KEY_NETWORK, epoch.segmenter)
        trained.unlink(missing_ok=True)
        self._report(epoch, scores, score, better=better)
        return score

    def _validate(self, epoch: Epoch, key_network: Path) -> Scores:
        """As `--evaluate 1` would, with the weights of this epoch."""
        from segtween.networks.conversion import write_parts
        from segtween.training.checkpoint import save

        stored, folder = self.places.run / ".validated.pth.tar", self.places.run / ".validated"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            save(stored, _content(epoch, 0.0))
            folder.mkdir()
            write_parts(stored, folder)
            segmenter, _ = weights.open_key_network(self.options, key_network)
            return self._measure(epoch, segmenter, weights.method_settings(self.options, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            stored.unlink(missing_ok=True)

    def _measure(self, epoch: Epoch, segmenter: Any, settings: Settings) -> Scores:
        options = self.options
        steps = options.eval_multi_step
        windows = [window for clip in self.judged.clips for window in windows_of(clip, steps)]
        passes = Passes(segmenter, settings, steps=steps, threads=options.threads, strips=options.visualization)

        def add(name: str, distance: int, page: Rgb) -> None:
            del distance
            self.log.picture(f"validation/{name}", page, epoch.number)

        strips = Strips(self.judged.labels, add, single=False)
        shown = {frame.name for frame in windows[0].frames[: passes.longest + 1]}

        def see(moment: Moment) -> None:
            if moment.frame.name in shown:
                strips.show(moment)
                shown.discard(moment.frame.name)

        return measure(passes, self.judged, windows, options, None, see if options.visualization else None)

    def _report(self, epoch: Epoch, scores: Scores, score: float, *, better: bool) -> None:
        rates = ", ".join(f"{name} {rate:.6f}" for name, rate in epoch.rates.items())
        lowest = scores.miou(max(scores.counts)) or 0.0
        self.log.say(
            f"epoch {epoch.number} of {self.options.epoch}: loss {epoch.loss:.4f}, validation mIoU {score:.2%} "
            f"(after {max(scores.counts)} frames {lowest:.2%}){', the best so far' if better else ''}; rates {rates}"
        )
        self.log.scalar("validation/mIoU", score, epoch.number)
        self.log.scalar("validation/min mIoU", lowest, epoch.number)
        self.log.scalar("train/loss of the epoch", epoch.loss, epoch.number)


def _whole(data: Dataset) -> SizeHW:
    """The first frame's size, in whole multiples of what the networks want."""
    height, width = data.read_rgb(data.clips[0].frames[0]).shape[:2]
    return _nearest(height), _nearest(width)


def _nearest(side: int) -> int:
    return max(1, round(side / SIDES)) * SIDES


def _gpu(log: RunLog) -> str:
    from segtween.training.loop import pick_device

    found = pick_device("auto").type
    if found == "cpu":
        log.say("note: --device gpu: torch finds no GPU here; the CPU is used (--device cpu says so)")
    return found


def _content(epoch: Epoch, best: float) -> dict[str, Any]:
    """What a `.pth.tar` of the reference's form holds."""
    return {
        "epoch": epoch.number,
        "state_dict": epoch.state_dict,
        "state_dict_of": epoch.state_dict_of,
        "best_pred": float(best),
    }


def _stored_best(path: Path) -> float | None:
    """The validation of the best epoch so far; None where there is none."""
    if not path.is_file():
        return None
    from segtween.networks.checkpoints import read_checkpoint

    found = read_checkpoint(path).facts.get("best_pred")
    return None if found is None else float(found)


# ── What a training starts from: its clips, apart from those that judge it, and its weights ───


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
