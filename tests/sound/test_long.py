"""Long sound: the time of measuring is proportional to its length, and memory grows by less than 1 MB a minute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from render.media import ffmpeg
from tests.sound import made

ENCODERS = {".m4a": "aac", ".mp3": "libmp3lame", ".mka": "flac"}
MEASURE = """
import resource, sys
from pathlib import Path
from render.media.audio import require_audio
from render.sound.analysis import analyse
from render.sound.measures import Measure

def cpu():
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)

track = require_audio(Path(sys.argv[1]))
loudness = [Measure("loudness", band=band) for band in (None, (20, 150), (6000, 15000))]
parts = [Measure("loudness", part=part) for part in ("harmonic", "percussive")]
start = cpu()
analyse(track, [*loudness, *parts, Measure("onsets"), Measure("beats"), Measure("chroma", pitch=0)])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(cpu() - start, int(peak.split()[1]) / 1024)
"""


class Cost(NamedTuple):
    """Seconds of CPU time, with ffmpeg's, and megabytes of memory at most."""

    cpu: float
    memory: float


def cost(path: Path) -> Cost:
    """What it takes to measure everything in a sound, in a process of its own."""
    found = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    return Cost(*map(float, found.stdout.split()))


def song(folder: Path, minutes: int, suffix: str = ".m4a") -> Path:
    """A minute of music that repeats."""
    minute = folder / f"minute{suffix}"
    if not minute.exists():
        made.write_sound(minute, made.made_music(118, 60), "-c:a", ENCODERS[suffix])
    path = folder / f"{minutes}{suffix}"
    repeated = ("-stream_loop", str(minutes - 1), "-i", str(minute), "-c", "copy")
    ffmpeg.run(*ffmpeg.QUIET, *repeated, str(path))
    return path


def test_ten_minutes_take_seconds_and_the_memory_of_one(tmp_path: Path) -> None:
    one, ten = (cost(song(tmp_path, minutes)) for minutes in (1, 10))
    assert ten.cpu < 5
    assert ten.memory < one.memory + 20


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ENCODERS)
def test_three_hours_take_the_time_and_memory_that_are_promised(suffix: str, tmp_path: Path) -> None:
    one, long = (cost(song(tmp_path, minutes, suffix)) for minutes in (1, 180))
    assert long.cpu < 50
    assert long.memory < one.memory + 140
