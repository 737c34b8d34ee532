"""Frames in notebooks."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from render.errors import UsageError
from render.film.encoder import quantize
from render.text import quote


def show(frame: Tensor) -> Image.Image:
    """Returns a frame as a picture, which a notebook displays where it is the last value of a cell.

    `frame` is 1x3xHxW or 3xHxW RGB in [0, 1], on any device, as `frames` yields it. Raises UsageError for others.
    """
    if not isinstance(frame, Tensor) or frame.shape[-3:-2] != (3,) or frame.shape[:-3] not in ((), (1,)):
        raise UsageError(f"a frame is a tensor of 1x3xHxW, not {_describe(frame)}")
    return Image.fromarray(quantize(frame.detach().reshape(1, *frame.shape[-3:]).float(), 8))


def _describe(value: object) -> str:
    return f"of {'x'.join(map(str, value.shape))}" if isinstance(value, Tensor) else quote(value)
