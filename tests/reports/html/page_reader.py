"""Reads a report as a browser would, as far as tests need it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "input", "br", "link"}
CLOSED = {"path", "circle", "rect", "polyline", "polygon"}


class Page(HTMLParser):
    """Tags in order with their attributes, the text, the headings; ValueError where tags do not close each other."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        if self._open:
            raise ValueError(f"left open: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise ValueError(f"</{tag}> closes another")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("h1", "h2"):
            self.headings.append(data)
        if not self._open or self._open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def addresses(self) -> list[str]:
        """Everything that the page would load."""
        loaded = [value for _, attributes in self.tags for key, value in attributes.items() if key in ("src", "href")]
        return [*(value or "" for value in loaded), *re.findall(r"url\(([^)]*)\)|@import", self.html)]

    @property
    def data(self) -> Any:
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', self.html, re.DOTALL)
        return None if found is None else json.loads(found.group(1))


def check_alone(page: Page) -> None:
    """It loads nothing from elsewhere, its charts and pictures have words, and its numbers are in tables."""
    for address in page.addresses:
        assert address.startswith(("data:image/", "report-")) or "filter.id" in address, address
    assert "http" not in page.html
    svgs = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert all(svg.get("role") == "img" for svg in svgs)
    assert len(page.all("desc")) == len(page.all("title")) - 1 == len(svgs)
    assert all(image.get("alt") for image in page.all("img"))
    assert len(page.html) < 5_000_000
