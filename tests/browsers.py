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


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
