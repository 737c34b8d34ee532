"""What a picture's file says about its pixels: size, sample range, orientation, alpha and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from render.media.image_color import ColorSpace

Decoder = Literal["color", "unchanged", "pillow"]
"""How the pixels are decoded: by OpenCV to three channels, by OpenCV as they are stored, or by Pillow."""


@dataclass(frozen=True)
class ImageHeader:
    """The header of a picture; `size` is (width, height) of the decoded pixels.

    `white` is the sample of full intensity; None for the largest of the samples' type, and 1 of floats. `orientation`
    is EXIF's, of pixels that the decoder does not turn. `data` replaces the bytes of the file for the decoder.
    """

    size: tuple[int, int]
    white: float | None = None
    orientation: int = 1
    profile: bytes | None = None
    space: ColorSpace | None = None
    decoder: Decoder = "color"
    is_cmyk: bool = False
    is_premultiplied: bool = False
    is_inverted: bool = False
    data: bytes | None = None

    @property
    def upright_size(self) -> tuple[int, int]:
        """The (width, height) of the picture as it is displayed."""
        width, height = self.size
        return (height, width) if self.orientation >= 5 else (width, height)


def oriented(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turns HxWxC pixels upright as EXIF's orientation says (CIPA DC-008, 4.6.5.1), as a view."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels
