"""`kill -9` at random moments: of render, of an ffmpeg that it has started, or of both."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Protocol

import psutil

from tests.production.processes import Ended

PAUSE = 0.001


class Process(Protocol):
    """A render at work."""

    @property
    def pid(self) -> int:
        """Its number."""

    def ended(self) -> Ended:
        """Waits for its end."""


def attack(start: Callable[[], Process], chance: random.Random, seconds: float) -> tuple[str, Ended]:
    """Starts a render, kills something at a random moment of its first `seconds`, and waits for its end: what was
    killed, "" when it had finished before, and how it ended."""
    victim = chance.choice(("render", "ffmpeg", "both"))
    moment = chance.uniform(0, seconds)
    run = start()
    process = psutil.Process(run.pid)
    time.sleep(moment)
    killed = ""
    while not killed and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        killed = victim if _killed(process, victim) else ""
        time.sleep(PAUSE)
    return killed, run.ended()


def is_survived(killed: str, ended: Ended) -> bool:
    """Whether a render ended as it should: killed itself; with a sentence, when its ffmpeg was; or finished.

    It may say that it goes on, and that it mends what was damaged.
    """
    if killed in ("render", "both"):
        return ended.status in (-9, 0)
    mended = r"render: frames \d+ to \d+ in \S+ are missing or damaged; they are made again\n"
    said = re.sub(rf"^(going on at frame \d+\n|{mended})+", "", ended.err)
    if killed == "ffmpeg" and ended.status == 4:
        return said == "render: ffmpeg was ended by signal 9; the same command goes on\n"
    return ended.status == 0 and not said


def _killed(process: psutil.Process, victim: str) -> bool:
    """Whether there was something to kill."""
    try:
        started = process.children()
        victims = {"render": [process], "ffmpeg": started[-1:], "both": [process, *started[-1:]]}[victim]
        if victim == "both" and not started:
            return False
        for each in victims:
            each.kill()
    except psutil.NoSuchProcess:
        return False
    return bool(victims)
