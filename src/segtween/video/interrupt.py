"""Ctrl-C between frames, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupts:
    """Holds Ctrl-C back while something is written, so that all outputs of a frame agree.

    Only Python's own handler is held back, and only in the main thread, where it would run.
    """

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing in the block is interrupted; `asked` says whether Ctrl-C came."""
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return
        signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def raise_if_asked(self) -> None:
        if self.asked:
            self.asked = False
            raise KeyboardInterrupt

    def _ask(self, *_: object) -> None:
        self.asked = True
