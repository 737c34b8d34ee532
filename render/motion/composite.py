"""The dream as a layer over its source: separated from it, moved, and composited onto another frame."""

from __future__ import annotations

import torch
from torch import Tensor

from render.choices import FollowMode, MixMode
from render.motion.flow import Motion
from render.motion.warp import resample


def dream_layer(dreamed: Tensor, source: Tensor, mode: FollowMode) -> Tensor:
    """What persists of a dreamed frame: `residual`, what the dream changed; `blend`, the whole frame."""
    return dreamed - source if mode == "residual" else dreamed


def composite(source: Tensor, layer: Tensor, *, share: Tensor, mode: FollowMode) -> Tensor:
    """Composites a share (HxW in [0, 1]) of a dream layer onto a source (1x3xHxW), in [0, 1]."""
    return (source + share * layer if mode == "residual" else torch.lerp(source, layer, share)).clamp(0, 1)


def mixed(source: Tensor, dreamed: Tensor, *, amount: float, mode: MixMode) -> Tensor:
    """Lays a dreamed picture over its source (both 1x3xHxW in [0, 1]) as `mode` says, by an amount in [0, 1].

    The modes are those of W3C's Compositing and Blending, Level 1, with the source as backdrop.
    """
    match mode:
        case "normal":
            whole = dreamed
        case "screen":
            whole = source + dreamed - source * dreamed
        case "lighten":
            whole = torch.maximum(source, dreamed)
        case "soft_light":
            bright = torch.where(source <= 0.25, ((16 * source - 12) * source + 4) * source, source.sqrt())
            darker = source - (1 - 2 * dreamed) * source * (1 - source)
            whole = torch.where(dreamed <= 0.5, darker, source + (2 * dreamed - 1) * (bright - source))
    return torch.lerp(source, whole, amount).clamp(0, 1)


def warp_by_motion(picture: Tensor, motion: Motion) -> Tensor:
    """Moves a picture (1x3xHxW) of the frame that the motion leads to, with the camera's kernel."""
    return resample(picture, motion.x, motion.y, border="edge")
