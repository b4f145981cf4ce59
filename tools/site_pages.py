"""Pages of the documentation site that lie outside docs/ in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

OUTSIDE = ("CONTRIBUTING.md", "CHANGELOG.md")
ROOT = Path(__file__).parents[1]
DOWN = re.compile(r"\]\(docs/")
FILES = re.compile(r"\[([^\]]+)\]\((?!https?:|#|docs/)[^)]*\)")
"""Links of a page outside docs/ to files that the site does not hold: their text alone is kept."""


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the pages."""
    for name in OUTSIDE:
        text = FILES.sub(r"\1", (ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, name, content=DOWN.sub("](", text)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links that lead out of docs/: to these pages, which lie beside the others here; of all others the text."""
    depth = page.file.src_uri.count("/")
    out = re.compile(r"\[([^\]]+)\]\(" + re.escape("../" * (depth + 1)) + r"([^)#]+)(#[^)]*)?\)")

    def here(found: re.Match[str]) -> str:
        text, name, place = found[1], found[2], found[3] or ""
        return f"[{text}]({'../' * depth}{name}{place})" if name in OUTSIDE else text

    return out.sub(here, markdown)
