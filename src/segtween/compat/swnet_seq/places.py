"""Where things are written, by the reference's names.

<log-folder>/run/<dataset>/<segnet>_<checkname>/<time>_{train,eval}/          run.log, TensorBoard events
<log-folder>/run/<dataset>/<segnet>_<checkname>/                              model_best.pth.tar, checkpoint.pth.tar
<log-folder>/pred_img_res/<dataset>/<segnet>_<checkname>/<ResFolderName>/     predictions
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TextIO

from segtween.compat.swnet_seq.flags import Options
from segtween.errors import MissingExtraError, SettingError, SinkError, os_errors
from segtween.types import Rgb

BEST, LAST = "model_best.pth.tar", "checkpoint.pth.tar"
BEST_KEY_NETWORK = "key_network_best.pt"
TRAINING = "training"
"""Of the experiment's folder: what a training that is gone on from needs."""
TIME = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Places:
    """The folders of one run. `checkpoints` is shared by all runs of an experiment."""

    run: Path
    checkpoints: Path
    predictions: Path


def places_of(options: Options) -> Places:
    """SettingError for names that would lead out of the log folder. Nothing is made yet."""
    for flag, name in (("--checkname", options.checkname), ("--ResFolderName", options.ResFolderName)):
        if not name or name in (".", "..") or set(name) & set("/\\\0"):
            raise SettingError(f"{flag} {name!r}", expected="the name of one folder", do="leave out slashes")
    experiment = f"{options.segnet}_{options.checkname}"
    log = Path(options.log_folder)
    folder = log / "run" / options.dataset / experiment
    kind = "train" if options.mode == "train" else "eval"
    stamp = time.strftime(TIME)
    run, again = folder / f"{stamp}_{kind}", 1
    while run.exists():
        again += 1
        run = folder / f"{stamp}-{again}_{kind}"
    return Places(run, folder, log / "pred_img_res" / options.dataset / experiment / options.ResFolderName)


class RunLog:
    """What a run says: on the screen and in `run.log`, and figures as TensorBoard events beside it.

    `silent` is for all processes but the first: nothing is printed or written.
    """

    def __init__(self, folder: Path, *, silent: bool = False) -> None:
        self.folder, self.silent = folder, silent
        self._file: TextIO | None = None
        self._events: object | None = None

    def __enter__(self) -> RunLog:
        if not self.silent:
            got = f"{self.folder} cannot be written"
            with os_errors(SinkError, got, expected="a folder that you may write to", do="give another --log-folder"):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._file = (self.folder / "run.log").open("w", encoding="utf-8")
            self._events = _open_events(self.folder)
            if self._events is None:
                self.say(f"note: {MissingExtraError('TensorBoard', extra='train')}; no events are written")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            if error is not None:
                self._write(f"ended: {' '.join(str(error).split()) or type(error).__name__}")
            self._file.close()
        if self._events is not None:
            self._events.close()  # type: ignore[attr-defined]

    def say(self, line: str = "") -> None:
        """One line, on the screen and in the file."""
        if not self.silent:
            print(line, flush=True)  # noqa: T201
            self._write(line)

    def note(self, line: str) -> None:
        """One line, in the file only."""
        self._write(line)

    def scalar(self, name: str, value: float, step: int) -> None:
        self._add(step, tag=name, simple_value=value)

    def picture(self, name: str, rgb: Rgb, step: int) -> None:
        from segtween.video.png import encode_png

        if self._events is not None:
            from tensorboard.compat.proto.summary_pb2 import Summary

            height, width = rgb.shape[:2]
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encode_png(rgb))
            self._add(step, tag=name, image=image)

    def _add(self, step: int, **value: object) -> None:
        if self._events is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        event = Event(wall_time=time.time(), step=step, summary=Summary(value=[Summary.Value(**value)]))
        self._events.add_event(event)  # type: ignore[attr-defined]

    def _write(self, line: str) -> None:
        if self._file is not None:
            self._file.write(f"{time.strftime('%H:%M:%S')} {line}\n")
            self._file.flush()


def _open_events(folder: Path) -> object | None:
    """TensorBoard's own writer, which needs no torch; None where TensorBoard is not installed."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TensorBoard about its own dependencies
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        return None
    writer: object = EventFileWriter(str(folder))
    return writer


def command_line() -> str:
    import shlex

    return shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
