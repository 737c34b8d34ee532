"""The versions that the bytes of a film depend on, without an import of torch."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

from render import __version__
from render.errors import RenderError
from render.media import ffmpeg

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "scenedetect-headless")


def versions() -> dict[str, str]:
    """Returns the version of render, of Python, of ffmpeg, and of each package; `missing` where there is none."""
    found = {"render": __version__, "Python": ".".join(map(str, sys.version_info[:2]))}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    try:
        found["ffmpeg"] = ffmpeg.version()
    except RenderError:
        found["ffmpeg"] = "missing"
    return found


def difference(here: dict[str, str], there: dict[str, str]) -> str:
    """Returns in what versions differ, `torch 2.8.0 instead of 2.9.0`; empty when they are the same."""
    names = [*here, *(name for name in there if name not in here)]
    return ", ".join(
        f"{name} {there.get(name, 'missing')} instead of {here.get(name, 'missing')}"
        for name in names
        if here.get(name) != there.get(name)
    )
