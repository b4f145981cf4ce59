"""Threads that work while the main one labels: one prefetches frames, one writes results.

Both keep order and a bounded number of items. Where one has nothing to do it waits; errors appear in the main thread,
after everything that came before them. The main thread never holds a lock that another one needs, so that Ctrl-C may
interrupt it anywhere.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Generic, TypeVar

from segtween.ops.threads import run_inline

Item = TypeVar("Item")

PATIENCE_SECONDS = 3.0
"""How long a thread is waited for that must stop: a camera that gives nothing may hold it for longer."""


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _through(end: _Failed | None, close: Callable[[], None]) -> _Failed | None:
    """Closes what was read, and says what went wrong first."""
    try:
        close()
    except BaseException as error:
        return end or _Failed(error)
    return end


class Prefetcher(Generic[Item]):
    """The items of an iterable, each with the milliseconds that it took, taken in a thread of its own.

    At most `most` wait to be asked for. `close`, if given, is called by that thread when it is through.
    """

    arrived: float | None = None
    dropped = 0
    """As those of `LatestFrame`: nothing is dropped, and when an item came does not count."""

    def __init__(self, items: Iterable[Item], *, most: int, close: Callable[[], None] = lambda: None) -> None:
        self._items, self._close = items, close
        self._slots, self._ready = SimpleQueue[None](), SimpleQueue["tuple[Item, float] | _Failed | None"]()
        self._stopped = False
        for _ in range(most):
            self._slots.put(None)
        self._thread = threading.Thread(target=self._work, name="segtween-ahead", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Item, float]:
        """The next item, for which it waits; StopIteration at the end."""
        ready = self._ready.get()
        self._slots.put(None)
        if ready is None:
            raise StopIteration
        if isinstance(ready, _Failed):
            raise ready.error
        return ready

    def stop(self) -> None:
        """Takes no more items, and waits for the thread: for a while only, since it may wait for a camera."""
        self._stopped = True
        self._slots.put(None)
        self._thread.join(PATIENCE_SECONDS)

    def _work(self) -> None:
        run_inline()
        end: _Failed | None = None
        try:
            items = iter(self._items)
            while True:
                self._slots.get()
                if self._stopped:
                    break
                began = time.perf_counter()
                try:
                    item = next(items)
                except StopIteration:
                    break
                self._ready.put((item, (time.perf_counter() - began) * 1e3))
                del item
        except BaseException as error:
            end = _Failed(error)
        self._ready.put(_through(end, self._close))


class LatestFrame(Generic[Item]):
    """`Prefetcher` for what does not wait: of the items that came meanwhile only the last `most` are given, others are
    dropped.

    `arrived` is when the item that was given last came, in `time.perf_counter` seconds; `dropped` counts the others.
    `notify` is called by the thread whenever an item arrived, and at the end.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        most: int = 1,
        close: Callable[[], None] = lambda: None,
        notify: Callable[[], None] = lambda: None,
    ) -> None:
        self._items, self._close, self._notify = items, close, notify
        self._last = deque[tuple[Item, float, float]](maxlen=most)
        self._events = SimpleQueue["_Failed | bool"]()
        self._stopped = False
        self._all = self._given = 0
        self.arrived: float | None = None
        self._thread = threading.Thread(target=self._work, name="segtween-newest", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        return self._all - self._given

    def take(self) -> tuple[Item, float] | None:
        """The next item that came since the last one given, if there is one, without waiting; StopIteration at the
        end."""
        while not self._events.empty():
            event = self._events.get()
            if event is False:
                raise StopIteration
            if isinstance(event, _Failed):
                raise event.error
            if self._last:  # else it was replaced by one that has been given
                item, milliseconds, self.arrived = self._last.popleft()
                self._given += 1
                return item, milliseconds
        return None

    def stop(self) -> None:
        """As `Prefetcher.stop`."""
        self._stopped = True
        self._thread.join(PATIENCE_SECONDS)

    def _work(self) -> None:
        end: _Failed | None = None
        try:
            began = time.perf_counter()
            for item in self._items:
                now = time.perf_counter()
                self._all += 1
                self._last.append((item, (now - began) * 1e3, now))
                self._events.put(True)
                self._notify()
                if self._stopped:
                    break
                began = now
        except BaseException as error:
            end = _Failed(error)
        self._events.put(_through(end, self._close) or False)
        self._notify()


class AsyncWriter(Generic[Item]):
    """Calls `work` with each item, in order, in a thread of its own. At most `most` items wait.

    After an error the items that follow are dropped; `put` and `check` raise it, once.
    """

    def __init__(self, work: Callable[[Item], object], *, most: int) -> None:
        self._call = work
        self._slots, self._items = SimpleQueue[None](), SimpleQueue["tuple[Item] | None"]()
        self._error: BaseException | None = None
        for _ in range(most):
            self._slots.put(None)
        self._thread = threading.Thread(target=self._work, name="segtween-behind", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Blocks while `most` items wait."""
        self.check()
        self._slots.get()
        self.check()
        self._items.put((item,))

    def finish(self) -> None:
        """Waits until all that was put is done."""
        self._items.put(None)
        self._thread.join()

    def check(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        run_inline()
        failed = False
        while True:
            item = self._items.get()
            if item is None:
                return
            if not failed:
                try:
                    self._call(*item)
                except BaseException as error:
                    failed, self._error = True, error
            del item
            self._slots.put(None)
