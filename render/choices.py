"""Enumerations and limits that the scene's language and the engine share; imports nothing of either."""

from __future__ import annotations

from typing import Literal

Border = Literal["mirror", "edge", "wrap", "black"]
"""What enters the picture from outside it."""
TransformBorder = Literal["mirror", "wrap"]
"""What a random shift of the picture before a step brings into it."""
Fit = Literal["cover", "contain", "stretch"]
"""How a picture fills a size of another shape: cropped, with black bars, or distorted."""
FollowMode = Literal["residual", "blend"]
"""What persists from frame to frame along a clip's motion: what the dream changed, or the whole dreamed frame."""
MixMode = Literal["normal", "screen", "lighten", "soft_light"]
"""How a dream lies over its source in a finished frame."""
MAX_FREQUENCY = 15000
"""Hz; a band of sound that ends here or above ends at the highest frequency that is measured, 16 kHz."""
FlowMethod = Literal["dis", "farneback", "raft_small", "raft_large", "none"]
"""How optical flow is estimated."""
Codec = Literal["h264", "h265", "vp9", "prores", "gif", "webp", "png", "jpg"]
"""How frames are encoded."""
IMAGE_CODECS: tuple[Codec, ...] = ("png", "jpg")
"""Codecs of single pictures, and of numbered sequences of them."""
LOOPING_CODECS: tuple[Codec, ...] = ("gif", "webp")
"""Codecs of films that are one animated picture: they repeat by themselves, and have no sound."""
CONTAINERS: dict[str, tuple[Codec, ...]] = {
    ".mp4": ("h264", "h265"),
    ".mov": ("h264", "h265", "prores"),
    ".mkv": ("h264", "h265"),
    ".webm": ("vp9",),
    ".gif": ("gif",),
    ".webp": ("webp",),
    ".png": ("png",),
    ".jpg": ("jpg",),
    ".jpeg": ("jpg",),
}
"""The suffixes of an output path, and the codecs that fit there, the default first."""
DEFAULT_CRF = {"h264": 18, "h265": 20, "vp9": 24}
"""Constant rate factor of each codec that has one; lower is better and larger."""
MAX_CRF = {"h264": 51, "h265": 51, "vp9": 63}
DEFAULT_QUALITY = {"webp": 85}
"""Quality from 1 to 100 of each codec that has one; higher is better and larger."""
MAX_GIF_FPS = 50
"""Frames per second; browsers show a frame of less than 2/100 s for 10/100 s."""
GIF_TICKS = 100
"""Ticks per second of a GIF's clock (GIF89a, 23)."""
MAX_REPEATS = 1000
"""How often a film is written into its file at most."""
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "bfloat16")
"""Number formats in which a network runs."""
SCENE_KINDS = ("class", "zoom", "photo", "footage", "morph", "tour")
"""The scenes that `render new` writes."""
MIN_SIDE, MAX_SIDE = 16, 16384
"""Pixels, of a film's width and height."""
MAX_SIDES = {"webp": 16383}
"""Pixels, of codecs whose pictures are smaller (WebP container specification, canvas and VP8 frame)."""
MAX_TRACK = 1000
"""The largest number of a track in a media file, from 0."""
MIN_TILE_SIZE = 128
"""Pixels a side; a smaller tile sees too little of the picture."""
MAX_RECORDED_THREADS = 256
"""Largest number of threads that is accepted from a film's metadata; OMP_NUM_THREADS may exceed what is chosen here."""
