"""A renderer of neural-network dreams: one YAML scene, one film.

from render import frames, load, render

scene = load("configs/zoom.yaml")
for index, frame in frames(scene): ...      # 1x3xHxW float32 RGB in [0, 1]
film = render(scene)                        # the finished film, at scene.output.path
"""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from render.api import frames, load
    from render.production import render

# Before torch loads OpenMP: threads that wait sleep instead of spinning. Beside any other busy program a spinning
# thread holds the core that the one it waits for needs, and a frame takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before OpenCV is loaded, which reads once how many pixels a picture may have, and ends the process where it finds
# no number.
if not re.fullmatch("[0-9]{1,18}", os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS", "")):
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(2**27)

__version__ = "0.5.0"
__all__ = ["frames", "load", "render"]

_HOMES = {"load": "render.api", "frames": "render.api", "render": "render.production"}


def __getattr__(name: str) -> Any:
    """The three names on first use, so that `render --help` need not wait for torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'render' has no attribute '{name}'")
