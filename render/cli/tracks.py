"""The signals and tracks of a scene over its film, and the turns of its tours, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from render.cli.output import print_json_line, print_line, print_table

if TYPE_CHECKING:
    from render.analysis.curves import Values
    from render.pipeline.scene import Scene
    from render.scene.tour import Thing

COLUMNS = 9
"""Frames at which a table has the values of tracks, the first and the last among them."""


def print_tracks(scene: Scene, *, as_json: bool) -> None:
    """Prints every signal, every track that changes, and every turn of the tours. Raises StorageError."""
    from render.analysis.curves import changing_tracks, signal_values

    signals, tracks = signal_values(scene), changing_tracks(scene)
    if as_json:
        _print_json(scene, signals, tracks)
        return
    if not (signals or tracks or scene.spec.tours):
        print_line("no track changes")
    if signals:
        print_line("")
        print_table(
            ("signal", "least", "mean", "greatest", "at"), (_extremes(scene, *item) for item in signals.items())
        )
    if tracks:
        frames = sorted({round(i * (scene.length - 1) / (COLUMNS - 1)) for i in range(COLUMNS)})
        instants = (f"{float(frame / scene.fps):.4g} s" for frame in frames)
        rows = ((key, *(f"{values[frame]:.4g}" for frame in frames)) for key, values in tracks.items())
        print_line("")
        print_table(("track", *instants), rows)
    for i in scene.spec.tours:
        turns = ((name, *(f"{time:.6g} s" for time in times)) for name, *times in _turns(scene, i))
        print_line("")
        print_table((f"objectives.{i}", "fades in", "full", "fades out", "ends"), turns)


def _extremes(scene: Scene, name: str, values: Values) -> tuple[str, ...]:
    """The name of a signal, its least, mean and greatest value, and when it has the greatest for the first time."""
    numbers = (f"{value:.4g}" for value in (values.min(), values.mean(), values.max()))
    return name, *numbers, f"{float(int(values.argmax()) / scene.fps):.4g} s"


def _print_json(scene: Scene, signals: Mapping[str, Values], tracks: Mapping[str, Values]) -> None:
    for name, values in signals.items():
        print_json_line({"event": "signal", "name": name, "values": values.tolist()})
    for key, values in tracks.items():
        print_json_line({"event": "track", "key": key, "values": values.tolist()})
    for i in scene.spec.tours:
        for thing, *times in _turns(scene, i):
            seconds = dict(zip(("fades_in_s", "full_s", "fades_out_s", "ends_s"), times, strict=True))
            print_json_line({"event": "turn", "key": f"objectives.{i}", "name": thing, **seconds})


def _turns(scene: Scene, objective: int) -> Iterator[tuple[Thing, float, float, float, float]]:
    """Yields the name of each turn of a tour, and when it fades in, is full, fades out and ends, in seconds."""
    for turn in scene.spec.tours[objective]:
        fades_in, full, fades_out, ends = (float(frame / scene.fps) for frame in turn.times)
        yield turn.thing, fades_in, full, fades_out, ends
