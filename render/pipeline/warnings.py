"""What is valid in a scene, but hardly what was meant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice

import numpy as np

from render.choices import GIF_TICKS, IMAGE_CODECS
from render.media.audio import require_audio
from render.pipeline.scene import Scene
from render.pipeline.sound import Sounds
from render.scene.document import Document
from render.scene.field_errors import MAX_PROBLEMS
from render.text import Problem

MIN_SECONDS = Fraction(1, 2)
"""A film that is shorter, whose duration is a plain number, was probably meant to last as many seconds."""
GRADE_TOLERANCE = 1e-6
MAX_SILENT_END = Fraction(1, 2)
"""Seconds of silence at the end of a film with a sound that need no warning."""

SURE_TEMPO_SECONDS = 8
"""Of sound; in less, a tempo that is twice or half the right one is found as well."""


def find_warnings(scene: Scene, written: Document) -> Iterator[Problem]:
    """Yields a problem with its position for everything that is probably a mistake, MAX_PROBLEMS at most."""
    checks = (_short_duration, _uneven_gif, _late_times, _short_sound, _unsure_tempo, _unreachable_grade)
    return islice(chain.from_iterable(check(scene, written) for check in checks), MAX_PROBLEMS)


def _short_duration(scene: Scene, written: Document) -> Iterator[Problem]:
    """A few frames, where the duration has no unit: `duration: 3`."""
    duration, seconds = scene.spec.duration, scene.length / scene.fps
    is_written = isinstance(written.root.value, dict) and "duration" in written.root.value
    is_film = scene.output.codec not in IMAGE_CODECS
    if is_written and is_film and duration.unit == "" and scene.length > 1 and seconds < MIN_SECONDS:
        message = (
            f"{scene.length} frames are {float(seconds):.2g} s at {scene.fps} fps; "
            f"{float(duration.value):g}s with the unit are seconds"
        )
        yield written.problem(message, ("duration",))


def _uneven_gif(scene: Scene, written: Document) -> Iterator[Problem]:
    """A rate whose frames are no whole number of a GIF's ticks."""
    ticks = GIF_TICKS / scene.fps
    if scene.output.codec == "gif" and ticks.denominator > 1:
        short, long = math.floor(ticks), math.ceil(ticks)
        lower, upper = Fraction(GIF_TICKS, long), Fraction(GIF_TICKS, short)
        message = (
            f"a .gif counts in hundredths of a second: frames at {scene.fps} fps last {short} or {long} of them, "
            f"without drift; fps {lower} and {upper} are even"
        )
        is_written = isinstance(written.root.value, dict) and "fps" in written.root.value
        yield written.problem(message, ("fps",) if is_written else ())


def _late_times(scene: Scene, written: Document) -> Iterator[Problem]:
    """Keyframes and arrivals after the film's end, which only the way to them shows."""
    clock, look_at = scene.spec.clock, scene.spec.camera.look_at
    end = f"the film ends at {float(scene.length / scene.fps):.6g} s, frame {scene.length}"
    for path, track in scene.spec.tracks():
        if not isinstance(track.shape, tuple):
            continue
        for name, key in zip(track.raw, track.shape, strict=True):
            if key.time.frames(clock) > scene.length:
                yield written.problem(f"{end}, before this keyframe", (*path, name), at_key=True)
    if look_at is not None and look_at.by.frames(clock) > scene.length:
        yield written.problem(f"{end}, before the point arrives in the middle", ("camera", "look_at", "by"))


def _short_sound(scene: Scene, written: Document) -> Iterator[Problem]:
    """A sound that ends before its film: what follows it is still."""
    keys, film = ("output", "audio"), scene.length / scene.fps
    if keys not in scene.paths:
        return
    track = require_audio(scene.paths[keys], scene.output.audio_track)
    seconds = track.end - track.file_start
    if film - seconds > MAX_SILENT_END:
        message = (
            f"{track.path.name} ends at {float(seconds):.6g} s and the film at {float(film):.6g} s, silent from there "
            f"on; duration: {float(seconds):.6g}s"
        )
        yield written.problem(message, keys)


def _unsure_tempo(scene: Scene, written: Document) -> Iterator[Problem]:
    """A tempo that was found in little sound."""
    spec = scene.spec
    if spec.bpm is None or spec.beats is None or not spec.bpm.is_found:
        return
    sounds = Sounds(spec, scene.paths, scene.clip, clip_start=spec.start / scene.fps)
    sound = sounds.named(spec.bpm.audio or "output", ("bpm", "audio"))
    if sound is not None and sound.track.end - sound.track.start < SURE_TEMPO_SECONDS:
        found = spec.beats.median_bpm
        message = (
            f"{found:.4g} beats per minute are found in {float(sound.track.end - sound.track.start):.3g} s of sound; "
            f"in less than {SURE_TEMPO_SECONDS} s that may be twice or half of it, bpm: {found:.4g} or another decides"
        )
        yield written.problem(message, ("bpm",))


def _unreachable_grade(scene: Scene, written: Document) -> Iterator[Problem]:
    """A contrast that no picture has: values in [0, 1] with the mean m deviate by sqrt(m (1 - m)) at most."""
    timeline = scene.spec.timeline
    strength, mean, contrast = (np.asarray(timeline["grade", key]) for key in ("strength", "mean", "contrast"))
    largest = np.sqrt(mean * (1 - mean))
    frames = np.flatnonzero((strength > 0) & (contrast > largest + GRADE_TOLERANCE))
    if frames.size:
        first = int(frames[0])
        message = (
            f"no picture has the mean {mean[first]:.3g} and the contrast {contrast[first]:.3g}, as at frame {first}; "
            f"with that mean the contrast is at most {largest[first]:.2g}"
        )
        grade = written.root.find(("grade",)).value
        key = "contrast" if isinstance(grade, dict) and "contrast" in grade else "mean"
        yield written.problem(message, ("grade", key))
