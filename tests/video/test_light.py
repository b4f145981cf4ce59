"""Asking for the room costs nothing heavy: the command line must start at once."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_room_loads_no_video_library():
    code = "import sys, segtween.video; print(sorted({'av', 'cv2', 'openvino', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
