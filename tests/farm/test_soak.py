"""A job of 20 films on three nodes, while something is ended at random moments: `./scripts/farm soak [MOMENTS]`.

Each moment removes a node, kills a worker process, a raylet or the driver with -9, restarts the head with all nodes,
or makes a disk full for a worker. The films are compared with those of a serial run, finished segments with themselves.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from render import Options, load, render
from render.system.checksum import sha256
from tests.farm.nodes import Nodes
from tests.jobs.parts import begin

pytestmark = pytest.mark.slow
MOMENTS = int(os.environ.get("FARM_MOMENTS", "30"))
SEED = 17
FILMS = 20
SETTINGS = {"duration": "48", "dream.steps": "8"}
KINDS = ("worker", "worker", "node", "raylet", "driver", "disk", "head")
MAX_RUNS = 200
"""Commands after which a job that does not end is a failure."""


class Soak:
    """The job that runs, its cluster, and the segments that were seen."""

    def __init__(self, folder: Path, nodes: Nodes) -> None:
        self.folder, self.nodes = folder, nodes
        self.alive = [1, 2]
        self.segments: dict[Path, tuple[int, int]] = {}
        self.remade: list[Path] = []
        self.batch = self.run()
        self.runs = 1
        self.dead = 0

    def run(self) -> subprocess.Popen[str]:
        """Starts the command, or starts it again."""
        settings = [each for key, value in SETTINGS.items() for each in ("--set", f"{key}={value}")]
        cluster = ("--cluster", self.nodes.address, "--cpus", "1")
        return begin("batch", "*.yaml", *settings, "--precision", "float32", "--name", "job", "--retry", *cluster)

    def look(self) -> bool:
        """Notes the finished segments, and starts a command that has ended again; returns whether the job is done."""
        for record in self.folder.glob("*.parts/[0-9]*.json"):
            with contextlib.suppress(OSError):
                status = record.with_suffix(".mp4").stat()
                found = status.st_ino, status.st_mtime_ns
                if record.exists() and self.segments.setdefault(record, found) != found:
                    self.remade.append(record)
        if self.batch.poll() is None:
            return False
        _, err = self.batch.communicate()
        if self.batch.returncode == 0:
            return True
        self.runs += 1
        self.dead += err.count(": status ")
        if self.batch.returncode > 0:
            print(f"\n  ended with {self.batch.returncode}: {err.strip()[-600:]}")
        assert self.runs < MAX_RUNS
        self.batch = self.run()
        return False

    def disturb(self, kind: str, rng: random.Random) -> None:
        """Ends something."""
        workers = self.nodes.workers()
        match kind:
            case "worker" if workers:
                with contextlib.suppress(psutil.Error):
                    rng.choice(workers).kill()
            case "disk" if workers:
                with contextlib.suppress(OSError):
                    resource.prlimit(rng.choice(workers).pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
            case "node" | "raylet" if self.alive:
                number = self.alive.pop(rng.randrange(len(self.alive)))
                if kind == "raylet":
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.nodes.raylets[number], signal.SIGKILL)
                else:
                    self.nodes.remove(number)
                self.alive.append(self.nodes.add(CPU=1))
            case "driver":
                self.batch.kill()
            case "head":
                self.nodes.restart_head(CPU=1)
                self.alive = [self.nodes.add(CPU=1), self.nodes.add(CPU=1)]


def test_every_film_is_right_and_no_finished_segment_is_made_again(workspace: Path) -> None:
    text = (workspace / "a.yaml").read_text()
    for name in "abc":
        (workspace / f"{name}.yaml").unlink()
    overrides = [("--set", key, value) for key, value in SETTINGS.items()]
    expected = {}
    for number in range(FILMS):
        scene = workspace / f"{number:02}.yaml"
        scene.write_text(text.replace("seed: 0", f"seed: {number}"))
        output = ("--output", "output.path", f'"{workspace}/serial.mp4"')
        options = Options(precision="float32", overwrite=True)
        expected[f"{number:02}.mp4"] = sha256(render(load(scene, [*overrides, output]), options).path)
    (workspace / "serial.mp4").unlink()
    rng, done, films, kinds = random.Random(SEED), 0, 0, Counter[str]()
    start, runs, dead = time.monotonic(), 0, 0
    with Nodes({"CPU": 1}, {"CPU": 1}, {"CPU": 1}) as nodes:
        while done < MOMENTS:
            soak = Soak(workspace, nodes)
            next_at = time.monotonic() + rng.uniform(15, 40)
            while not soak.look():
                time.sleep(0.1)
                if done < MOMENTS and time.monotonic() >= next_at:
                    kind = rng.choice(KINDS)
                    soak.disturb(kind, rng)
                    done, kinds[kind] = done + 1, kinds[kind] + 1
                    next_at = time.monotonic() + rng.uniform(1, 25)
                    print(f"\n{time.monotonic() - start:.0f} s: {kind}", end="", flush=True)
            assert {film.name: sha256(film) for film in workspace.glob("*.mp4")} == expected
            assert not soak.remade
            assert not list(workspace.rglob("*.parts"))
            films, runs, dead = films + FILMS, runs + soak.runs, dead + soak.dead
            for film in workspace.glob("*.mp4"):
                film.unlink()
    print(f"\n{done} moments ({dict(kinds)}) in {time.monotonic() - start:.0f} s: {films} films, all right; ", end="")
    print(f"no finished segment was made again; the command ran {runs} times, {dead} tasks were DEAD for a time")
