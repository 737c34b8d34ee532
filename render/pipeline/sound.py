"""The sounds that a scene names, each placed in time: that of the film, of the clip, or of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from render.media import audio
from render.media.audio import AudioTrack
from render.media.clip import Clip
from render.scene.field_errors import Loc
from render.scene.model import SceneSpec


@dataclass(frozen=True)
class PlacedSound:
    """A track, and the time on the clock of its file, in seconds, at which the film starts."""

    track: AudioTrack
    start: Fraction


@dataclass(frozen=True)
class Sounds:
    """The sounds of a scene. `paths` locates its files; the film starts `clip_start` seconds into its clip."""

    spec: SceneSpec
    paths: Mapping[Loc, Path]
    clip: Clip | None
    clip_start: Fraction

    def of_clip(self, number: int | None = None) -> PlacedSound | None:
        """Returns the clip's sound, by the number of its track; None without any. Raises StorageError."""
        if self.clip is None or self.clip.number is not None:
            return None
        track = audio.probe_audio(self.clip.path, number, video_track=self.clip.track)
        return None if track is None else PlacedSound(track, self.clip.start + self.clip_start)

    def of_film(self) -> PlacedSound | None:
        """Returns the film's sound: the clip's, a file's from its start or its first picture on, or None."""
        output = self.spec.output
        match output.audio:
            case "none":
                return None
            case "source":
                return self.of_clip(output.audio_track)
        return self.of_file(self.paths["output", "audio"], output.audio_track)

    def of_file(self, path: Path, number: int | None = None) -> PlacedSound:
        """Returns the sound of a file. Raises StorageError when it has none."""
        track = audio.require_audio(path, number)
        return PlacedSound(track, track.file_start)

    def named(self, name: str, keys: Loc, number: int | None = None) -> PlacedSound | None:
        """Returns the sound that a scene names at some keys: `output`, `source` or a file. Raises StorageError."""
        match name:
            case "output":
                return self.of_film()
            case "source":
                return self.of_clip(number)
        return self.of_file(self.paths[keys], number)
