"""Ctrl-C and SIGTERM between frames, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came. What handles Ctrl-C handles it likewise; only the exit code differs."""


def raise_terminated(*_: object) -> None:
    """The handler of SIGTERM while `sigterm_raises`."""
    raise Terminated


HANDLERS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: raise_terminated,
}
"""The signals that end a run early, and the handlers that raise at once. With any other handler a signal belongs to
the program around, and is left alone."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM raises `Terminated` in the block: in the main thread, unless the program around handles it itself."""
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Interrupts:
    """Holds Ctrl-C and SIGTERM back while something is written, so that all outputs of a frame agree.

    Only the handlers of `HANDLERS` are held back, and only in the main thread, where they would run.
    """

    def __init__(self) -> None:
        self._asked: type[KeyboardInterrupt] | None = None
        self._second_raises = False

    @contextmanager
    def held(self, *, second_raises: bool = False) -> Iterator[None]:
        """Nothing in the block is interrupted; `raise_if_asked` raises afterwards what would have. With
        `second_raises` a second request is obeyed at once: for a block that may never end."""
        ours = [s for s, handler in HANDLERS.items() if signal.getsignal(s) is handler] if _in_main_thread() else []
        for number in ours:
            signal.signal(number, self._ask)
        if ours:
            self._second_raises = second_raises
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, HANDLERS[number])

    def raise_if_asked(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            raise asked

    def _ask(self, number: int, _: object) -> None:
        is_second, self._asked = self._asked is not None, Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if is_second and self._second_raises:
            raise self._asked


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
