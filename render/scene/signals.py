"""The scene's `signals` and `bpm`: numbers in [0, 1] at every frame, from sound, tables or noise; and beats."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from render.choices import MAX_FREQUENCY, MAX_TRACK
from render.scene.expressions import Expression
from render.scene.field_errors import FieldError
from render.scene.fields import FileField, Fraction01, Seed, ShortForm, WordOr
from render.scene.times import Delay, Interval, Period, Span
from render.text import did_you_mean, quote

PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}
SOUND_WORDS = ("output", "source")
MIN_BPM, MAX_BPM = 20, 400
DEFAULT_PERCENTILE = 98.0


def _parse_pitch(raw: Any) -> str:
    name = raw[:1].upper() + raw[1:] if isinstance(raw, str) else raw
    pitch = FLATS.get(name, name)
    if pitch not in PITCHES:
        raise FieldError(f"unknown pitch {quote(raw)}{did_you_mean(str(raw), (*PITCHES, *FLATS), ', '.join(PITCHES))}")
    return str(pitch)


def _parse_bpm(raw: Any) -> Fraction | str:
    if raw == "auto":
        return "auto"
    if isinstance(raw, bool) or not isinstance(raw, int | float | Fraction):
        raise FieldError(f"a tempo is needed: 128, in beats per minute, or auto, not {quote(raw)}")
    if not MIN_BPM <= raw <= MAX_BPM:
        raise FieldError(f"{raw} beats per minute; a tempo is from {MIN_BPM} to {MAX_BPM}")
    return Fraction(str(raw))


Pitch = Annotated[str, PlainValidator(_parse_pitch), WithJsonSchema({"enum": [*PITCHES, *FLATS]})]
Bpm = Annotated[
    Fraction | str,
    PlainValidator(_parse_bpm),
    PlainSerializer(lambda bpm: bpm if isinstance(bpm, str) else float(bpm)),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": MIN_BPM, "maximum": MAX_BPM}, {"enum": ["auto"]}]}),
]
Hertz = Annotated[float, Field(ge=0, le=24000)]
SoundPath = Annotated[str | None, FileField("sound", SOUND_WORDS)]


class Tempo(ShortForm):
    """The tempo, so that times can be beats (`4b`) and bars (`bar 3`), and expressions know `beat`, `bar` and `bpm`."""

    alone: ClassVar[str] = "value"

    value: Bpm
    """Beats per minute; or `auto`, which finds the beats in the sound, also of music whose tempo changes."""
    offset: Span | None = None
    """Time of beat 0; with `auto`, beat 0 is the first one from this time on; default: 0."""
    per_bar: int = Field(default=4, ge=1, le=32)
    """Beats in a bar."""
    audio: SoundPath = None
    """With `auto`: the sound in which the beats are found: `output`, that of the film (the default), `source`, that of
    the clip, or the path of a file."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Tempo:
        if self.audio is not None and self.value != "auto":
            raise FieldError("a tempo that is set is not found in a sound; value: auto", ("audio",), at_key=True)
        if self.offset is not None and self.offset.needs_beats:
            raise FieldError("beat 0 is at a time in seconds or a frame: 0.12s", ("offset",))
        return self

    @property
    def is_found(self) -> bool:
        """Whether the beats are found in a sound."""
        return self.value == "auto"


SOURCES = {
    "audio": ("audio_track", "part", "band", "onsets", "beats", "chroma"),
    "csv": ("column",),
    "noise": ("seed",),
    "value": (),
}
"""The keys of which a signal has one, and those that go with each."""
MEASURES: tuple[Literal["onsets", "beats", "chroma"], ...] = ("onsets", "beats", "chroma")
"""Keys that exclude each other; without any, a sound is measured by its loudness."""


class SignalSpec(ShortForm):
    """A number in [0, 1] at every frame: measured in a sound, from a table, smooth or an expression of others."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in SOURCES]})

    alone: ClassVar[str] = "value"

    audio: SoundPath = Field(default=None, min_length=1)
    """A sound: `output`, that of the film, `source`, that of the clip, or the path of a file. Its loudness, unless
    another key says what is measured."""
    audio_track: int | None = Field(default=None, ge=0, le=MAX_TRACK)
    """With `audio`, of a clip or a file: number of the track, chosen without it as `output.audio_track` says."""
    part: Literal["harmonic", "percussive"] | None = None
    """With `audio`: only what sounds on, or only what strikes; default: both."""
    band: tuple[Hertz, Hertz] | None = Field(default=None, strict=False)
    """With `audio`: only the frequencies from the lower to the higher, in Hz: `[20, 150]` is bass and kick."""
    onsets: bool = False
    """With `audio`: where notes and strokes begin, each of which falls by `decay`."""
    beats: bool = False
    """With `audio`: the beats that are found in the sound, each of which falls by `decay`."""
    chroma: Pitch | None = None
    """With `audio`: how much of the sound has a pitch, in any octave: `C`, `F#`, `Bb`."""
    csv: Annotated[str | None, FileField("table")] = Field(default=None, min_length=1)
    """A table, with commas, semicolons or tabs: a column `time` in seconds, or `frame`, and one of values, which are
    interpolated."""
    column: str | None = None
    """With `csv`: the column of the values; default: the first other one."""
    noise: Period | None = None
    """Smooth random values; the time says after how long they are independent."""
    seed: Seed | None = None
    """With `noise`: its seed; default: that of the scene."""
    value: Fraction01 | None = None
    """A track of values from 0 to 1, for an expression of other signals: `"max(bass, 0.5 * hit)"`."""
    smooth: Interval | None = None
    """Time over which values are averaged, before and after each."""
    attack: Interval | None = None
    """Time in which the signal can rise from 0 to 1; default: at once."""
    decay: Interval | None = None
    """Time in which the signal falls to 37 % after a peak; default: at once, but 0.3s with `onsets` and `beats`."""
    normalize: Annotated[str | float | None, WordOr(Annotated[float, Field(gt=0, le=100)], ("none",))] = None
    """Percentile of the values of the whole sound's loudness, or of a table, that becomes 1: with 98, the default for
    loudness, a single loud click does not make all else small. `none` keeps values as they are, the default for a
    table. Strengths of onsets and shares of pitches are from 0 to 1 already."""
    gate: float = Field(default=0, ge=0, lt=1)
    """Values below it become 0."""
    power: float = Field(default=1, gt=0, le=10)
    """Exponent: above 1 makes small values smaller."""
    delay: Delay | None = None
    """Time by which the signal comes later; a negative one, `-0.05s`, makes it come earlier."""

    @model_validator(mode="after")
    def _is_consistent(self) -> SignalSpec:
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise FieldError(f"exactly one of {', '.join(SOURCES)} belongs in a signal, not {len(given)}")
        for source, keys in SOURCES.items():
            for key in keys:
                if source != given[0] and getattr(self, key) not in (None, False):
                    raise FieldError(f"'{key}' belongs to '{source}'", (key,), at_key=True)
        measures = [key for key in MEASURES if getattr(self, key)]
        if len(measures) > 1:
            raise FieldError(f"a signal is one of {', '.join(measures)}", (measures[1],), at_key=True)
        for key in ("band", "part"):
            if getattr(self, key) is not None and measures and measures[0] != "onsets":
                raise FieldError(f"'{key}' cannot be combined with '{measures[0]}'", (key,), at_key=True)
        if self.band is not None and not self.band[0] < self.band[1]:
            raise FieldError("the lower frequency comes first", ("band",))
        if self.normalize is not None and (measures or not (self.audio or self.csv)):
            message = "values are from 0 to 1 as they are; only loudness and tables are normalized"
            raise FieldError(message, ("normalize",), at_key=True)
        if self.audio_track is not None and self.audio == "output":
            message = "output.audio_track chooses the track of the film's sound"
            raise FieldError(message, ("audio_track",), at_key=True)
        if self.band is not None and self.band[0] >= MAX_FREQUENCY:
            raise FieldError(f"the lower frequency is below {MAX_FREQUENCY}; above nothing is measured", ("band", 0))
        return self

    @field_validator("column")
    @classmethod
    def _is_named(cls, column: str | None) -> str | None:
        if column == "":
            raise FieldError("a column's name is needed")
        return column

    @property
    def measure(self) -> Literal["loudness", "onsets", "beats", "chroma"]:
        """What is measured in a sound."""
        return next((key for key in MEASURES if getattr(self, key)), "loudness")

    @property
    def references(self) -> tuple[tuple[str, int], ...]:
        """The names that the signal's expression refers to, with their offsets."""
        shape = None if self.value is None else self.value.shape
        return shape.references if isinstance(shape, Expression) else ()


def measures_film_sound(tempo: Tempo | None, signals: Iterable[SignalSpec]) -> bool:
    """Returns whether beats or signals are measured in the film's own sound, `output`."""
    has_beats = tempo is not None and tempo.is_found and tempo.audio in (None, "output")
    return has_beats or any(signal.audio == "output" for signal in signals)
