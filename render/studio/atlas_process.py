"""The process that makes the pictures of the atlas: `python -m render.studio.atlas_process`.

A request is `{"network": ..., "objective": ...}`, and its answer `{"file": PATH}` of a JPEG that is in the cache.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from render.analysis.atlas import picture
from render.errors import MissingError
from render.film.atomic import atomic_write, storage_errors
from render.models.registry import model_spec
from render.pipeline.plan import Options
from render.pipeline.sources import file_identities
from render.scene.objectives import NetworkSpec
from render.studio.atlas import picture_file, picture_scene
from render.studio.child import Answer, answer_requests
from render.system.checksum import sha256

QUALITY = 90
OPTIONS = Options(precision="float32", quiet=True)


def main() -> None:
    """Makes pictures until standard input ends."""
    answer_requests(perform)


def perform(request: dict[str, Any]) -> Iterator[Answer]:
    """Makes the picture of a request, unless it is cached. Raises RenderError of every kind."""
    network = NetworkSpec.model_validate(request["network"])
    scene = picture_scene(network, request["objective"])
    weights = _weights(network)
    target = picture_file(scene, _checksum(weights, tuple(file_identities(weights).items())))
    if not _is_picture(target):
        data = io.BytesIO()
        Image.fromarray(picture(scene, OPTIONS)).save(data, "JPEG", quality=QUALITY, subsampling=0)
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, data.getvalue())
    yield {"file": str(target)}


def _weights(network: NetworkSpec) -> Path:
    """The file of a network's weights. Raises MissingError when they would have to be downloaded."""
    if network.weights_file is not None:
        return Path(network.weights_file)
    source = model_spec(network.name, network.weights).weights_source
    if not source.is_downloaded and source.url is not None:
        size = f"{source.megabytes:.0f} MB"
        raise MissingError(f"the weights of {network.name} ({size}) are downloaded when a film of it is first made")
    return source.ensure(quiet=True)


@lru_cache
def _checksum(file: Path, identities: object) -> str:
    """The checksum of a file that is what `identities` says."""
    return sha256(file)


def _is_picture(file: Path) -> bool:
    """Whether a file is a whole picture."""
    try:
        with Image.open(file) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


if __name__ == "__main__":
    main()
