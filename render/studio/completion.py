"""Completions at a position of a scene's text."""

from __future__ import annotations

from pathlib import Path


def complete(text: str, offset: int, path: Path) -> None:
    """Returns no completions."""
