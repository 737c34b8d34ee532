"""Messages that several of these tests expect, as regular expressions."""

from __future__ import annotations

from tests.production.films import FRAMES, PARTS

RESUMING = r"resuming at frame (\d+)\n"
"""A line on standard error; the group is the frame."""
REMADE = r"render: frames \d+ to \d+ in \S+ are missing or damaged; they are made again\n"
FFMPEG_KILLED = r"render: ffmpeg was killed by signal 9; .*the same command.*\n"
STOPPED = r"stopped;.* the same command resumes.*"
STOPPED_WITH_FRAMES = rf"stopped; (\d+) of {FRAMES} frames are safe in {PARTS}; the same command resumes there"
"""The group is the number of frames."""
DISK_FULL = (
    rf"render: the disk of {PARTS} is full; about (\d+) bytes \([0-9.]+ .B\) more are needed there; "
    r"make room, then run the same command to resume"
)
"""The group is the number of bytes."""
SMALLER_TILES = r"memory is short; from here on the picture is dreamed in tiles of (\d+) pixels"
"""The group is the tile size."""
