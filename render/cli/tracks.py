"""The tracks of a scene over its film, and the turns of its tours, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from render.cli.output import print_json_line, print_line, print_table

if TYPE_CHECKING:
    from render.pipeline.scene import Scene
    from render.scene.tour import Thing

COLUMNS = 9
"""Frames at which a table has the values, the first and the last among them."""


def print_tracks(scene: Scene, *, as_json: bool) -> None:
    """Prints every track that changes, and every turn of the tours. Raises StorageError."""
    from render.analysis.curves import changing_tracks, signal_values

    values = {**{f"signals.{name}": each for name, each in signal_values(scene).items()}, **changing_tracks(scene)}
    tracks = {key: each.tolist() for key, each in values.items()}
    if as_json:
        _print_json(scene, tracks)
        return
    if not tracks and not scene.spec.tours:
        print_line("no track changes")
    if tracks:
        frames = sorted({round(i * (scene.length - 1) / (COLUMNS - 1)) for i in range(COLUMNS)})
        times = (f"{float(frame / scene.fps):.4g} s" for frame in frames)
        rows = ((key, *(f"{values[frame]:.4g}" for frame in frames)) for key, values in tracks.items())
        print_line("")
        print_table(("track", *times), rows)
    for i in scene.spec.tours:
        turns = ((name, *(f"{time:.6g} s" for time in times)) for name, *times in _turns(scene, i))
        print_line("")
        print_table((f"objectives.{i}", "fades in", "full", "fades out", "ends"), turns)


def _print_json(scene: Scene, tracks: dict[str, list[float]]) -> None:
    for key, values in tracks.items():
        print_json_line({"event": "track", "key": key, "values": values})
    for i in scene.spec.tours:
        for name, *times in _turns(scene, i):
            seconds = dict(zip(("fades_in_s", "full_s", "fades_out_s", "ends_s"), times, strict=True))
            print_json_line({"event": "turn", "key": f"objectives.{i}", "name": name, **seconds})


def _turns(scene: Scene, objective: int) -> Iterator[tuple[Thing, float, float, float, float]]:
    """Yields the name of each turn of a tour, and when it fades in, is full, fades out and ends, in seconds."""
    for turn in scene.spec.tours[objective]:
        fades_in, full, fades_out, ends = (float(frame / scene.fps) for frame in turn.times)
        yield turn.thing, fades_in, full, fades_out, ends
