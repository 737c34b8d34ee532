"""A job: a plan becomes a finished film, in numbered stages, resuming where an earlier run stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from render.dream.ascent import OnStep
from render.errors import DiskFullError, Interrupted, StorageError
from render.film.assembly import Placement, linked_segments, write_film, write_pictures
from render.film.atomic import ExistsError
from render.film.checkpoint import Checkpoint, discard_finished
from render.film.folder import listed
from render.pipeline import loop
from render.pipeline.engine import Engine, open_engine
from render.pipeline.existing import is_finished, reusable_film
from render.pipeline.identity import without_sound
from render.pipeline.loop import FrameSource
from render.pipeline.plan import Options, Plan, plan
from render.pipeline.preflight import check_space, disk_full, mixdown_note, preflight
from render.pipeline.provenance import provenance, provenance_diff
from render.pipeline.scene import Scene
from render.pipeline.segments import Callbacks, Segment, SegmentWriter, split_frames
from render.pipeline.sources import READ_LATE

MAX_CHANGES = 10
"""Changes that the warning about a film that is made again lists."""


@dataclass(frozen=True)
class Film:
    """A finished film.

    `path` is a pattern for a sequence of pictures. `size` is (width, height). `made` is False when it existed already.
    """

    path: Path
    frames: int
    fps: Fraction
    size: tuple[int, int]
    made: bool


def frames(
    scene: Scene, options: Options = Options(), *, on_step: OnStep | None = None
) -> Iterator[tuple[int, Tensor]]:
    """Yields the frames of a scene without writing a file: (index, 1x3xHxW float32 RGB in [0, 1] on the device).

    Of the options, `device`, `precision`, `frames` and `quiet` apply. `on_step` is called with the octave, the step and
    the objective after each step of ascent. Raises RenderError of every kind.
    """
    planned = plan(scene, options)
    first = planned.first_dreamed
    for frame in islice(loop.frames(open_engine(planned), start=first, on_step=on_step), planned.frames.stop - first):
        if frame.index in planned.frames:
            yield frame.index, frame.picture


def render(scene: Scene, options: Options = Options(), callbacks: Callbacks = Callbacks()) -> Film:
    """Renders the film of a scene at `scene.output.path`, resuming after the last complete segment of an earlier run.

    Raises RenderError of every kind; Interrupted on Ctrl-C.
    """
    return run(plan(scene, options), callbacks)


def run(plan: Plan, callbacks: Callbacks = Callbacks(), *, source: FrameSource = loop.frames) -> Film:
    """Runs a plan with the frames of a source. Raises RenderError of every kind; Interrupted on Ctrl-C."""
    # 1. What can be checked without the network
    preflight(plan)
    # 2. Weights, precision and tile size
    engine = open_engine(plan)
    # 3. What the film depends on, and its frames alone; a picture of a sequence does not depend on the range of frames
    everything = provenance(engine)
    identity = without_sound(everything)
    metadata = {key: value for key, value in everything.items() if not plan.format.is_pictures or key != "frames"}
    # 4. A film that exists already, or one of the same frames
    is_made = is_finished(plan, metadata)
    film = Film(
        plan.target, len(plan.frames) * plan.repeat, fps=plan.scene.fps, size=plan.format.size, made=not is_made
    )
    if not is_made and (note := mixdown_note(plan)):
        callbacks.on_warning(note)
    if not is_made and (same_frames := reusable_film(plan, metadata)):
        with linked_segments([same_frames], plan.target, plan.format) as segments:
            _write_film(plan, segments, metadata)
        is_made = True
    if is_made:
        _warn_of_others(plan, discard_finished(plan.folder, identity, suffix=plan.format.suffix), callbacks=callbacks)
        return film
    # 5. Warnings: what has changed since the original film, and a disk that may be too small
    _warn_of_changes(plan, everything, callbacks=callbacks)
    check_space(plan, warn=callbacks.on_warning)
    # 6. Segments, and the film from them
    try:
        suffix, restart = plan.format.suffix, plan.options.restart
        with Checkpoint(plan.folder, identity, suffix=suffix, restart=restart) as checkpoint:
            _make(engine, checkpoint, metadata=metadata, callbacks=callbacks, source=source)
            # 7. The folder of segments is not needed any more
            _warn_of_others(plan, checkpoint.discard(), callbacks=callbacks)
    except DiskFullError:
        raise disk_full(plan) from None
    return film


def _make(
    engine: Engine,
    checkpoint: Checkpoint,
    *,
    metadata: Mapping[str, Any],
    callbacks: Callbacks,
    source: FrameSource,
) -> None:
    """Makes the missing segments, and concatenates them to the film. Raises Interrupted on Ctrl-C."""
    plan = engine.plan
    segments = split_frames(plan.frames, plan.scene.output.segment_frames, plan.shots)
    encoded = [segment.number for segment in segments if segment.is_encoded]

    def verify_segments() -> None:
        if checkpoint.missing(encoded):
            raise StorageError(
                f"segments in {checkpoint.folder} were damaged while the film was put together; the same command makes "
                "them again"
            )

    try:
        writer = SegmentWriter(engine, segments, checkpoint, callbacks=callbacks, source=source)
        with contextlib.closing(writer.run()) as progress:
            for frame in progress:
                callbacks.on_frame(frame)
        _write_film(plan, [checkpoint.segment_path(number) for number in encoded], metadata, verify=verify_segments)
    except KeyboardInterrupt:
        raise Interrupted(_resume_hint(plan, checkpoint, segments)) from None
    except ExistsError as error:
        raise ExistsError(
            f"{error}; all frames are safe in {checkpoint.folder}: move that file away and run the same command, or "
            "--overwrite replaces it"
        ) from None


def _write_film(
    plan: Plan, segments: Sequence[Path], metadata: Mapping[str, Any], *, verify: Callable[[], None] = lambda: None
) -> None:
    """Writes the film from its segments to the target. Raises StorageError."""

    def verify_all() -> None:
        verify()
        plan.sources.verify(READ_LATE)

    placement = Placement(repeat=plan.repeat, replace=plan.options.overwrite, verify=verify_all)
    if plan.format.is_pictures:
        first = plan.frames.start
        write_pictures(segments, plan.target, metadata=metadata, first_number=first, placement=placement)
        return
    write_film(
        segments,
        plan.target,
        output_format=plan.format,
        metadata=metadata,
        audio=plan.audio,
        placement=placement,
    )


def _warn_of_others(plan: Plan, names: list[str], *, callbacks: Callbacks) -> None:
    """Warns of what was found in the folder of segments that is not render's."""
    if names:
        callbacks.on_warning(f"{plan.folder} is kept, it holds what render did not write: {listed(names)}")


def _warn_of_changes(plan: Plan, identity: Mapping[str, Any], *, callbacks: Callbacks) -> None:
    """Warns when a film that is made again may come out differently."""
    if plan.scene.metadata is None:
        return
    changes = list(provenance_diff(plan.scene.metadata, identity))
    if changes:
        more = f"; and {len(changes) - MAX_CHANGES} more" if len(changes) > MAX_CHANGES else ""
        callbacks.on_warning(f"the film may differ from the original: {'; '.join(changes[:MAX_CHANGES])}{more}")


def _resume_hint(plan: Plan, checkpoint: Checkpoint, segments: Sequence[Segment]) -> str:
    """Says what is safe after an interruption, and how to resume."""
    encoded = [segment for segment in segments if segment.is_encoded]
    missing = checkpoint.missing(segment.number for segment in encoded)
    safe = sum(len(segment.frames) for segment in encoded if segment.number not in missing)
    command = "the same command without --restart" if plan.options.restart else "the same command"
    return f"stopped; {safe} of {len(plan.frames)} frames are safe in {checkpoint.folder}; {command} resumes there"
