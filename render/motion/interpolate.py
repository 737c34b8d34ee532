"""Frames between two dreamed ones: both are moved to where they are by then, and cross-faded."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from render.choices import FollowMode
from render.motion.camera import CameraPath, inverse_affine
from render.motion.composite import composite, warp_by_motion
from render.motion.flow import Motion
from render.motion.warp import Affine, pixel_grid, transform_points, warp_affine

SOFTNESS = 4.0
"""Pixels over which a picture fades out at its border."""
TINY = 1e-12
"""Keeps divisors above zero."""


def interpolate_by_camera(earlier: Tensor, later: Tensor, *, path: CameraPath, frames: tuple[int, int, int]) -> Tensor:
    """Interpolates the frame between two dreamed ones that only the camera moves, 1x3xHxW in [0, 1].

    `frames` are the indices of the earlier, the interpolated and the later frame. Where only one of the two reaches,
    the result is that one.
    """
    first, index, last = frames
    back = inverse_affine(path.between(first, index))
    ahead = np.asarray(path.between(index, last)[:2], np.float64)
    share = (index - first) / (last - first)
    warped = warp_affine(earlier, back, border=path.border), warp_affine(later, ahead, border=path.border)
    blended = _cross_fade(warped, (_inside(earlier, back), _inside(later, ahead)), share)
    return _restore_detail(blended, (earlier, later), share).clamp(0, 1)


def interpolate_by_flow(
    layers: tuple[Tensor, Tensor], motions: tuple[Motion, Motion], *, share: float, source: Tensor, mode: FollowMode
) -> Tensor:
    """Interpolates the frame of a clip that lies `share` of the way between two dreamed ones, in [0, 1].

    `layers` are the dream layers of the earlier and the later frame, `motions` lead from this frame's pixels to their
    places there, `source` is the clip's frame (1x3xHxW). Where only one motion is trusted, the frame follows that one,
    and where none is, the source is visible.
    """
    confidence, later_confidence = (torch.from_numpy(motion.confidence).to(source.device) for motion in motions)
    warped = warp_by_motion(layers[0], motions[0]), warp_by_motion(layers[1], motions[1])
    blended = _restore_detail(_cross_fade(warped, (confidence, later_confidence), share), layers, share)
    return composite(source, blended, share=torch.maximum(confidence, later_confidence), mode=mode)


def _cross_fade(pictures: tuple[Tensor, Tensor], confidences: tuple[Tensor, Tensor], share: float) -> Tensor:
    """Blends `share` of the later picture with the earlier, or more where the earlier is less sure (HxW in [0, 1])."""
    earlier, later = (1 - share) * confidences[0], share * confidences[1]
    return torch.lerp(*pictures, later / (later + earlier).clamp_min(TINY))


def _restore_detail(blended: Tensor, pictures: tuple[Tensor, Tensor], share: float) -> Tensor:
    """Gives a blend as much fine detail as the two pictures have, so that sharpness does not pulse.

    Where two pictures differ, their mean has less variance than they have: by half where they have nothing in common,
    which bounds what is restored (Heitz & Neyret 2018).
    """
    fine = detail(blended)
    variances = [detail(picture).square().mean() for picture in pictures]
    target = torch.lerp(variances[0], variances[1], share)
    gain = (target / fine.square().mean().clamp_min(TINY)).clamp(1, 1 / (share**2 + (1 - share) ** 2))
    return blended + fine * (gain.sqrt() - 1)


def detail(picture: Tensor) -> Tensor:
    """The picture minus a blur over three pixels."""
    return picture - F.conv2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), _blur(picture.device), groups=3)


@lru_cache(maxsize=8)
def _blur(device: torch.device) -> Tensor:
    kernel = torch.tensor([0.25, 0.5, 0.25], device=device)
    return (kernel[:, None] * kernel).expand(3, 1, 3, 3)


def _inside(picture: Tensor, affine: Affine) -> Tensor:
    """1 where an affine transform leads into the picture, falling to 0 over SOFTNESS pixels at its border; HxW."""
    height, width = picture.shape[2:]
    x, y = transform_points(affine, *pixel_grid(picture))
    inside = np.minimum.reduce([x, width - 1 - x, y, height - 1 - y]) + 1
    return torch.from_numpy(np.clip(inside / SOFTNESS, 0, 1).astype(np.float32)).to(picture.device)
