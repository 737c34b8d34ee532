"""A renderer of neural-network dreams: one YAML scene, one film.

from render import frames, load, render, show

scene = load("configs/zoom.yaml").replace("camera.zoom", 1.03)
for index, frame in frames(scene): ...      # 1x3xHxW float32 RGB in [0, 1]
show(frame)                                 # the picture, in a notebook
film = render(scene)                        # the finished film, at scene.output.path
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from render.analysis.show import show
    from render.pipeline.job import frames, render
    from render.pipeline.load import load
    from render.pipeline.plan import Options
    from render.pipeline.segments import Callbacks

# Before torch loads OpenMP: threads that wait sleep instead of spinning. Beside any other busy program a spinning
# thread holds the core that the one it waits for needs. Where torch is imported already, system/openmp.py does it.
OPENMP_SPINS = "torch" in sys.modules and "OMP_WAIT_POLICY" not in os.environ
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before OpenCV is loaded, which reads once how many pixels a picture may have, and ends the process where it finds
# no number.
if not re.fullmatch("[0-9]{1,18}", os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS", "")):
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(2**27)

__version__ = "0.8.0"
__all__ = ["Callbacks", "Options", "frames", "load", "render", "show"]

_MODULES = {
    "Callbacks": "render.pipeline.segments",
    "Options": "render.pipeline.plan",
    "frames": "render.pipeline.job",
    "load": "render.pipeline.load",
    "render": "render.pipeline.job",
    "show": "render.analysis.show",
}


def __getattr__(name: str) -> Any:
    """Imports a public name on first use, so that `render --help` does not wait for torch."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'render' has no attribute '{name}'")


def __dir__() -> list[str]:
    """Lists the public names, imported or not, and those that every module has."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
