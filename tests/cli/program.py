"""The program as a process, a scene for it, and what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCENE = """\
size: [32, 32]
duration: 0.125s
source: {noise: {grain: 8}}
objectives: [{layer: blocks.1}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
"""
PYTHON_M = (sys.executable, "-m", "render")
SCRIPT = (str(Path(sys.executable).with_name("render")),)


@dataclass(frozen=True)
class Ended:
    """Exit status, standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[Any]:
        """The lines of standard output as strict JSON."""
        return [strict_json(line) for line in self.out.splitlines()]


Call = Callable[..., Ended]
"""Runs the program with arguments."""


def strict_json(text: str) -> Any:
    """Parses JSON without Python's NaN and Infinity."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def run_process(*arguments: str, program: tuple[str, ...] = PYTHON_M, **options: Any) -> Ended:
    """Runs the program as a process; `options` are those of subprocess.run."""
    process = subprocess.run(
        [*program, *arguments], capture_output=True, text=True, check=False, timeout=120, **options
    )
    return Ended(process.returncode, process.stdout, process.stderr)
