"""What is measured of a sound, and the values that measuring returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["loudness", "onsets", "beats", "chroma"]
Part = Literal["harmonic", "percussive"]


@dataclass(frozen=True)
class Measure:
    """A quantity of a sound.

    `band` is in Hz, for loudness and onsets, of everything or of a part; None: all frequencies. `part` is a separated
    part of the sound, for loudness and onsets. `pitch` is 0 = C to 11 = B, for chroma.
    """

    kind: Kind
    band: tuple[float, float] | None = None
    part: Part | None = None
    pitch: int | None = None


@dataclass(frozen=True)
class Samples:
    """A continuous measure on a fixed grid: float32 values >= 0, the first at `start` seconds on the file's clock.

    `rate` is in values per second. Loudness is the root mean square with full scale at 1, chroma a share in [0, 1].
    `floor` is the level below which a whole track counts as silent in this measure.
    """

    values: NDArray[np.float32] = field(repr=False)
    start: float
    rate: float
    floor: float


@dataclass(frozen=True)
class Events:
    """Onsets or beats: float64 times in seconds on the file's clock, ascending, and float64 strengths in (0, 1]."""

    times: NDArray[np.float64] = field(repr=False)
    strengths: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Tempo:
    """The median tempo in beats per minute, and float64 times of all beats in seconds on the file's clock, ascending.

    The beats go on regularly where the track is silent, up to its start and its end.
    """

    bpm: float
    beats: NDArray[np.float64] = field(repr=False)


Measured = Samples | Events
