"""Frames between two dreamed ones: both, moved to where they would be by then, and the one faded into the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from render.motion.camera import Move, backward_affine, travelled
from render.motion.flow import Motion
from render.motion.follow import Mode, followed, laid
from render.motion.warp import Affine, Border, grid, through, warp_affine

SOFTNESS = 4.0
"""Pixels over which a picture fades out at its border."""
TINY = 1e-12
"""Keeps what is nothing from being divided by."""


def by_camera(earlier: Tensor, later: Tensor, moves: Sequence[Move], at: int, border: Border) -> Tensor:
    """The frame after the first `at` of the `moves` that lead from one dreamed frame to the `later`, in [0, 1].

    Both are 1x3xHxW in [0, 1]. Where only one of them reaches, the frame is that one.
    """
    height, width = later.shape[2:]
    back = backward_affine(moves[:at], width, height)
    onward = np.asarray(travelled(moves[at:], width, height)[:2], np.float64)
    moved = warp_affine(earlier, back, border), warp_affine(later, onward, border)
    faded = _faded(*moved, _within(earlier, back), _within(later, onward), at / len(moves))
    return _as_sharp(faded, earlier, later, at / len(moves)).clamp(0, 1)


def by_flow(
    earlier: Tensor, later: Tensor, source: Tensor, back: Motion, onward: Motion, share: float, mode: Mode
) -> Tensor:
    """The frame that shows `source`, `share` of the way from one dreamed frame to the `later`, in [0, 1].

    `earlier` and `later` are what `follow.carried` of them; `back` and `onward` say where this frame's pixels were, and
    will be. Where only one of them is trusted, the frame follows that one, and where none is, the source shows.
    """
    sure, sure_later = (torch.from_numpy(motion.confidence).to(source.device) for motion in (back, onward))
    faded = _faded(followed(earlier, back), followed(later, onward), sure, sure_later, share)
    return laid(source, _as_sharp(faded, earlier, later, share), torch.maximum(sure, sure_later), mode)


def _faded(earlier: Tensor, later: Tensor, sure: Tensor, sure_later: Tensor, share: float) -> Tensor:
    """`share` of the later one, or more where the earlier is less sure (HxW in [0, 1])."""
    ours, others = share * sure_later, (1 - share) * sure
    return torch.lerp(earlier, later, ours / (ours + others).clamp_min(TINY))


def _as_sharp(faded: Tensor, earlier: Tensor, later: Tensor, share: float) -> Tensor:
    """The faded picture with as much fine detail as those it is between, so that nothing pulses.

    Where two pictures differ, their mean has less variance than they have: by half where they have nothing in common,
    and no more than that is given back (Heitz & Neyret 2018).
    """
    detail = _detail(faded)
    wanted = torch.lerp(_detail(earlier).square().mean(), _detail(later).square().mean(), share)
    lost = (wanted / detail.square().mean().clamp_min(TINY)).clamp(1, 1 / (share**2 + (1 - share) ** 2))
    return faded + detail * (lost.sqrt() - 1)


def _detail(picture: Tensor) -> Tensor:
    """What a blur over three pixels takes away."""
    return picture - F.conv2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), _blur(picture.device), groups=3)


@lru_cache(maxsize=8)
def _blur(device: torch.device) -> Tensor:
    kernel = torch.tensor([0.25, 0.5, 0.25], device=device)
    return (kernel[:, None] * kernel).expand(3, 1, 3, 3)


def _within(picture: Tensor, affine: Affine) -> Tensor:
    """1 where an affine leads into the picture, falling to 0 at its border."""
    height, width = picture.shape[2:]
    x, y = through(affine, *grid(picture))
    inside = np.minimum.reduce([x, width - 1 - x, y, height - 1 - y]) + 1
    return torch.from_numpy(np.clip(inside / SOFTNESS, 0, 1)).to(picture.device)
