"""`kill -9` at random moments: of render, of an ffmpeg that it started, or of both."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable
from typing import Protocol

import psutil

from tests.production.messages import FFMPEG_KILLED, REMADE, RESUMING
from tests.production.processes import Result

POLL_INTERVAL = 0.001
"""Seconds."""


class Process(Protocol):
    """A running render."""

    @property
    def pid(self) -> int:
        """The process id."""

    def wait(self) -> Result:
        """Waits for the end of the process."""


def kill_at_random(start: Callable[[], Process], rng: random.Random, *, seconds: float) -> tuple[str, Result]:
    """Starts a render, kills something at a random moment of its first `seconds`, and waits for its end.

    Returns what was killed ("render", "ffmpeg" or "both"; "" when the render finished first) and the result.
    """
    victim = rng.choice(("render", "ffmpeg", "both"))
    delay = rng.uniform(0, seconds)
    run = start()
    process = psutil.Process(run.pid)
    time.sleep(delay)
    killed = ""
    while not killed and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        killed = victim if _kill(process, victim) else ""
        time.sleep(POLL_INTERVAL)
    return killed, run.wait()


def is_proper_end(killed: str, result: Result) -> bool:
    """Whether a render ended as it should: by the kill; with a message, when its ffmpeg was killed; or finished.

    It may report that it resumes, and that it makes damaged segments again.
    """
    if killed in ("render", "both"):
        return result.status in (-9, 0)  # 0: the kill came after the end
    rest = re.sub(rf"^({RESUMING}|{REMADE})+", "", result.err)
    if killed == "ffmpeg" and result.status == 4:
        return re.fullmatch(FFMPEG_KILLED, rest) is not None
    return result.status == 0 and not rest


def _kill(process: psutil.Process, victim: str) -> bool:
    """Kills the victim, or what of it is running; returns whether anything was."""
    try:
        children = process.children()
        if victim == "both" and not children:
            return False
        victims = {"render": [process], "ffmpeg": children[-1:], "both": [process, *children[-1:]]}[victim]
    except psutil.NoSuchProcess:
        return False
    killed = False
    for each in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
            killed = True
    return killed
