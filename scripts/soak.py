"""How many faults a film survives: the same command, killed at random moments for a time, film after film.

Three films take turns: a zoom with a sound, footage followed under a moving camera, and 16-bit pictures. Each command
is a process from its very start; it, an ffmpeg that it has started, or both are killed (`kill -9`), and now and then
what it has left is damaged as well. Every finished film is compared with that of an undisturbed run.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from render.film import ffmpeg
from tests.film.test_checkpoint import DAMAGES, damage
from tests.production.films import CLIP, DEEP, FILM, FOLLOWED, FOLLOWING, SCENE, contents, footage_in
from tests.production.kills import attack, is_survived
from tests.production.processes import ONE_THREAD, Ended, strays

SONG = "song.m4a"
FILMS: dict[str, tuple[str, ...]] = {
    FILM: ("--set", f"output.audio={SONG}"),
    FOLLOWED: FOLLOWING,
    "frames": DEEP,
}
DAMAGED = 0.25
"""Share of attacks after which a file of the film in the making is damaged."""


class Command:
    """`python -m render film.yaml …`, in a folder."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "render", "film.yaml", *arguments],
            cwd=folder,
            env={**os.environ, **ONE_THREAD},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ended(self) -> Ended:
        """Waits for its end."""
        out, err = self._process.communicate()
        return Ended(self._process.returncode, out, err)


def undisturbed(folder: Path, arguments: tuple[str, ...]) -> tuple[dict[str, str], float]:
    """What a whole run makes, and how many seconds it takes."""
    begun = time.monotonic()
    ended = Command(folder, arguments).ended()
    if ended.status:
        raise SystemExit(f"an undisturbed run failed: {ended}")
    return made(folder), time.monotonic() - begun


def made(folder: Path) -> dict[str, str]:
    """The checksums of what is in a folder beside what was put there."""
    return {name: data for name, data in contents(folder).items() if name != SONG}


def clear(folder: Path) -> None:
    """Takes away what has been made."""
    for path in folder.iterdir():
        if path.name not in ("film.yaml", CLIP, SONG):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def damage_something(folder: Path, chance: random.Random) -> bool:
    """Damages a file of the film in the making, when there is one."""
    files = [path for path in sorted(folder.rglob("*.parts/*")) if path.is_file() and path.stat().st_size]
    if not files:
        return False
    damage(chance.choice(files), chance.choice(DAMAGES))
    return True


def soak(
    minutes: Annotated[float, typer.Argument(help="For so long.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the random moments.")] = 1,
) -> None:
    """Prints how many faults were survived; exit status 1 when one was not."""
    chance, faults, films = random.Random(seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        (folder / "film.yaml").write_text(SCENE)
        footage_in(folder)
        tone = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:a", "aac")
        ffmpeg.run(*ffmpeg.QUIET, *tone, str(folder / SONG))
        right = {}
        for name, arguments in FILMS.items():
            right[name] = undisturbed(folder, arguments)
            clear(folder)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            for name, arguments in FILMS.items():
                whole, seconds = right[name]
                while made(folder) != whole or list(folder.rglob("*.parts")):
                    killed, ended = attack(partial(Command, folder, arguments), chance, seconds)
                    if not is_survived(killed, ended):
                        raise SystemExit(f"after {sum(faults.values())} faults, {killed or 'nothing'} killed: {ended}")
                    if killed:
                        faults[killed] += 1
                    if killed and chance.random() < DAMAGED and damage_something(folder, chance):
                        faults["damage"] += 1
                    if not killed and made(folder) != whole:
                        raise SystemExit(f"{name} is another film, after {sum(faults.values())} faults")
                films += 1
                clear(folder)
        if left := strays(folder):
            raise SystemExit(f"still at work: {left}")
    print(f"{sum(faults.values())} faults survived in {minutes:g} minutes: {dict(faults)}; {films} films, all the same")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    typer.run(soak)
