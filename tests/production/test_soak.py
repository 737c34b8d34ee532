"""Films survive random kills and random damage, one film after another for minutes: `./scripts/soak [MINUTES]`.

Three films take turns: a zoom with sound, footage followed under a moving camera, and 16-bit pictures. Each command is
a new process, imports included. `kill -9` ends the process, an ffmpeg that it started, or both; a share of the kills is
followed by damage to a file of the unfinished film. Every finished film is compared with that of an undisturbed run.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from render.media import ffmpeg
from tests.film.test_checkpoint import DAMAGES, damage
from tests.production.films import CLIP, FILM, FOLLOWED, FOLLOWED_ARGUMENTS, SEQUENCE_ARGUMENTS, checksums, write_clip
from tests.production.kills import is_proper_end, kill_at_random
from tests.production.processes import Result, running_processes

MINUTES = float(os.environ.get("SOAK_MINUTES", "1"))
SEED = 1
SONG = "song.m4a"
INPUTS = ("film.yaml", CLIP, SONG)
FILMS: dict[str, tuple[str, ...]] = {
    FILM: ("--set", f"output.audio={SONG}"),
    FOLLOWED: FOLLOWED_ARGUMENTS,
    "frames": SEQUENCE_ARGUMENTS,
}
DAMAGE_PROBABILITY = 0.25
"""Share of kills after which a file of the unfinished film is damaged."""


class Command:
    """`python -m render film.yaml ARGUMENTS` in a folder."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "render", "film.yaml", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def wait(self) -> Result:
        """Waits for the end of the process."""
        out, err = self._process.communicate()
        return Result(self._process.returncode, out, err)


@pytest.mark.slow
def test_every_film_equals_that_of_an_undisturbed_run(workspace: Path) -> None:
    write_clip(workspace)
    tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:a", "aac")
    ffmpeg.run(*ffmpeg.QUIET, *tone, str(workspace / SONG))
    undisturbed = {name: undisturbed_run(workspace, arguments) for name, arguments in FILMS.items()}
    rng, faults, films = random.Random(SEED), Counter[str](), 0
    end = time.monotonic() + 60 * MINUTES
    while time.monotonic() < end:
        for name, arguments in FILMS.items():
            expected, seconds = undisturbed[name]
            faults += disturbed_run(workspace, arguments, rng=rng, seconds=seconds)
            assert outputs(workspace) == expected, f"{name} differs after {faults}"
            assert not list(workspace.rglob("*.parts"))
            clear(workspace)
            films += 1
    assert not running_processes(workspace)
    assert faults
    print(f"\n{faults.total()} faults survived in {MINUTES:g} minutes: {dict(faults)}; {films} films, all identical")


def undisturbed_run(folder: Path, arguments: tuple[str, ...]) -> tuple[dict[str, str], float]:
    """Returns the checksums of what a command makes and the seconds that it takes; leaves nothing behind."""
    start = time.monotonic()
    result = Command(folder, arguments).wait()
    seconds = time.monotonic() - start
    assert result.status == 0, result
    expected = outputs(folder)
    clear(folder)
    return expected, seconds


def disturbed_run(folder: Path, arguments: tuple[str, ...], *, rng: random.Random, seconds: float) -> Counter[str]:
    """Repeats a command, killing something in its first `seconds`, until it ends by itself; returns the faults."""
    faults = Counter[str]()
    while True:
        killed, result = kill_at_random(partial(Command, folder, arguments), rng, seconds=seconds)
        assert is_proper_end(killed, result), f"after {faults}, {killed or 'nothing'} killed: {result}"
        if not killed:
            return faults
        faults[killed] += 1
        if rng.random() < DAMAGE_PROBABILITY and damage_part(folder, rng):
            faults["damage"] += 1


def damage_part(folder: Path, rng: random.Random) -> bool:
    """Damages a file of the unfinished film; returns whether there is one."""
    files = [path for path in sorted(folder.rglob("*.parts/*")) if path.is_file() and path.stat().st_size]
    if files:
        kind = rng.choice((*DAMAGES, "copied"))
        if kind == "copied":
            copy_segment(files[0].parent, rng)
        else:
            damage(rng.choice(files), kind)
    return bool(files)


def copy_segment(parts: Path, rng: random.Random) -> None:
    """Copies a committed segment over another one, with its record and its canvas."""
    numbers = [path.stem for path in parts.glob("[0-9]*.json")]
    if len(numbers) > 1:
        source, target = rng.sample(numbers, 2)
        for path in parts.glob(f"{source}.*"):
            shutil.copy(path, path.with_name(f"{target}{path.suffix}"))


def outputs(folder: Path) -> dict[str, str]:
    """Returns the checksums of the files that the commands made, by name."""
    return {name: checksum for name, checksum in checksums(folder).items() if name not in INPUTS}


def clear(folder: Path) -> None:
    """Removes all but the inputs."""
    for path in folder.iterdir():
        if path.name not in INPUTS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
