"""Tests in a real browser: Playwright with a Chromium that is installed. Without them they are skipped and say so;
where CI is set they run and fail."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skips where one of these is missing, a module or a browser."""
    has = {BROWSERS[0]: CHROMIUM is not None}
    missing = [name for name in modules if not has.get(name, importlib.util.find_spec(name) is not None)]
    return pytest.mark.skipif(bool(missing) and not IN_CI, reason=f"not installed: {', '.join(missing)}")


NEEDS_BROWSER = [pytest.mark.browser, needs("playwright", BROWSERS[0])]
"""The marks of a module whose tests run in a browser."""


def until(page: Any, expression: str, argument: Any = None, *, seconds: float = 30) -> None:
    """Waits until an expression of the page is true; unlike Playwright's own it asks for no `eval` in the page."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, argument):
        assert time.monotonic() < end, f"not within {seconds} s: {expression} of {argument}"
        page.wait_for_timeout(50)


class Fingers:
    """Fingers on a touch screen, at places of the page as it is seen."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """`touchStart`, `touchMove` or `touchEnd`, with all fingers that are down."""
        placed = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": placed})

    def drag(self, start: tuple[float, float], by: tuple[float, float], *, steps: int = 8) -> None:
        """One finger."""
        self.touch("touchStart", start)
        for step in range(1, steps + 1):
            self.touch("touchMove", (start[0] + by[0] * step / steps, start[1] + by[1] * step / steps))
        self.touch("touchEnd")

    def spread(self, first: tuple[float, float], second: tuple[float, float], *, by: float, steps: int = 8) -> None:
        """Two fingers, each of which moves so far sideways, away from the other."""
        self.touch("touchStart", first)
        self.touch("touchStart", first, second)
        for step in range(1, steps + 1):
            moved = by * step / steps
            self.touch("touchMove", (first[0] - moved, first[1]), (second[0] + moved, second[1]))
        self.touch("touchEnd")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
