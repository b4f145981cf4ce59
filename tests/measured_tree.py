"""A small checkout with one measurement, one view and one document, for tests of `tools/measured`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from measured import checking, main

FIGURES = {
    "rows": [
        {"row": "every frame", "interval": 0, "miou": 0.743, "gain": None, "gain_low": None, "gain_high": None},
        {"row": "path", "interval": 4, "miou": 0.737, "gain": -0.006, "gain_low": -0.015, "gain_high": 0.001},
        {"row": "path", "interval": 9, "miou": 0.712, "gain": -0.031, "gain_low": None, "gain_high": None},
    ],
    "classes": {"sky": 0.9, "sign-symbol": 0.5},
}
RESTS = "in brackets the 95% interval of the paired difference: t interval over 10 blocks, on this clip"
PRINTED = "every frame 74.3; path 73.7 -0.6 (-1.5 to +0.1); path 71.2 -3.1; classes 90.0 50.0"
MEASUREMENT = f"""\
import json, os, sys
print('on', os.path.basename(sys.argv[1]), '76.3')
print('all figures in percent; {RESTS}')
print({PRINTED!r})
json.dump({{**{FIGURES!r}, 'root': sys.argv[1]}}, open(sys.argv[2], 'w'))
"""
COLUMNS = {"method": "{row}", "mIoU": "{miou:%}", "gain": "{gain:+%}[ ({gain_low:+%} to {gain_high:+%})]"}
TABLE = """\
| method | mIoU | gain |
| --- | ---: | ---: |
| every frame | 74.3 | - |
| path | 73.7 | -0.6 (-1.5 to +0.1) |
| path | 71.2 | -3.1 |
"""
BLOCK = """\
# Results

<!-- measured: all -->
<!-- /measured -->

It has <!-- value: fake rows(row=path;interval=9).miou % --><!-- /value --> there.
"""


class Tree:
    """A checkout with one measurement, one view and one document."""

    def __init__(self, root: Path) -> None:
        self.root, self.readme, self.place = root, root / "README.md", root / "docs" / "measured"
        self.place.mkdir(parents=True)
        (root / "src").mkdir()
        (root / "src" / "code.py").write_text("x = 1\n")
        (root / "fake.py").write_text(MEASUREMENT)
        self.readme.write_text(BLOCK)
        self.yaml(
            "measurements", {"fake": {"command": f"python {root}/fake.py CamVid OUT/f.json", "figures": "f.json"}}
        )
        self.yaml("views", {"all": {"of": "fake", "columns": COLUMNS}})
        self.yaml("data", {"CamVid": {"is": "CamVid"}})
        for words in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
        ):
            subprocess.run(["git", "-C", root, *words], check=True)

    def yaml(self, name: str, content: Any) -> None:
        (self.place / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def call(self, *words: str) -> int:
        return main(words, root=self.root)

    def measure(self) -> dict[str, Any]:
        """The stored record, its command told without the folder of the test."""
        assert self.call("run", "fake", "--data", f"CamVid={self.root}") == 0
        path = self.place / "fake.json"
        record = json.loads(path.read_text())
        self.yaml("measurements", {"fake": {"command": "segtween fake CamVid", "figures": "f.json"}})
        path.write_text(json.dumps({**record, "command": "segtween fake CamVid"}))
        return dict(record)

    def faults(self) -> str:
        return "\n".join(checking.faults(self.root))
