"""EfficientNet-Lite 0, 1 and 2: the architecture.

Architecture: Tan & Le 2019, "EfficientNet"; the Lite variants drop squeeze-and-excite and use ReLU6
(tensorflow/tpu, efficientnet/lite). Padding is TensorFlow's SAME.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from render.models.variants import Variant

BATCH_NORM_EPSILON = 1e-3
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
CLASSES = 1000


@dataclass(frozen=True)
class Stage:
    """A sequence of equal blocks of lite0; only the first has the `stride`. `channels` are those of the output."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: ceil(side / stride) outputs, an odd pixel at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self._padding(x.shape[2])
        before, after = self._padding(x.shape[3])
        weight = self.weight
        if (top, before) != (bottom, after):
            # A zero on one side of the kernel equals a pixel less on that side of the picture, and copies far less.
            weight = F.pad(weight, (after - before, 0, bottom - top, 0))
        return F.conv2d(x, weight, self.bias, self.stride, (bottom, after), groups=self.groups)

    def _padding(self, side: int) -> tuple[int, int]:
        """Returns the padding in pixels before and after."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


class ConvNorm(nn.Sequential):
    """A convolution, a batch norm, and ReLU6 unless `linear`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(inputs, outputs, kernel, stride=stride, groups=groups)
        self.norm = nn.BatchNorm2d(outputs, BATCH_NORM_EPSILON)
        if not linear:
            self.relu = nn.ReLU6(inplace=True)


class InvertedResidual(nn.Module):
    """MBConv: expand 1x1, depthwise, project 1x1; added to its input when the shapes are equal."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden) if expansion > 1 else None
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return y + x if self.residual else y


class EfficientNetLite(nn.Module):
    """The network, from a normalised picture, Nx3xHxW, to logits, Nx1000."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        blocks = list(_blocks(variant))
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.Sequential(*blocks)
        self.head = ConvNorm(blocks[-1].project.conv.out_channels, HEAD_CHANNELS)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


def rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns a published state dict (keys `_conv_stem.weight`, `_blocks.0._bn0.bias` …) with the keys of this module.

    Other keys are unchanged.
    """
    return {_rename_key(key): value for key, value in state.items()}


def _rename_key(key: str) -> str:
    parts = re.fullmatch(r"(?:_blocks\.(\d+)\.)?_(\w+)\.(\w+)", key)
    if parts is None:
        return key
    block, module, parameter = parts.groups()
    if block is None:
        top = {"conv_stem": "stem.conv", "bn0": "stem.norm", "conv_head": "head.conv", "bn1": "head.norm"}
        return f"{({**top, 'fc': 'classifier'}).get(module, module)}.{parameter}"
    inner = {"bn0": "expand.norm", "bn1": "depthwise.norm", "bn2": "project.norm"}
    return f"blocks.{block}.{inner.get(module, module.replace('_conv', '.conv'))}.{parameter}"


def _blocks(variant: Variant) -> Iterator[InvertedResidual]:
    inputs = STEM_CHANNELS
    for i, stage in enumerate(STAGES):
        is_outer = i in (0, len(STAGES) - 1)  # Lite does not scale the depth of the first and the last stage
        repeats = stage.repeats if is_outer else math.ceil(variant.depth * stage.repeats)
        outputs = _round_channels(stage.channels * variant.width)
        for k in range(repeats):
            stride = stage.stride if k == 0 else 1
            yield InvertedResidual(inputs, outputs, kernel=stage.kernel, stride=stride, expansion=stage.expansion)
            inputs = outputs


def _round_channels(channels: float, divisor: int = 8) -> int:
    """Returns the nearest multiple of `divisor`, at least 0.9 times `channels` (tensorflow/tpu, round_filters)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
