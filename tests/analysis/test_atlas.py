"""Atlas sheets: the pictures they hold, their labels, and invalid requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from render.analysis.atlas import FROM_NOISE, AtlasOptions, atlas
from render.analysis.contact_sheet import Cell, save_sheet
from render.errors import RenderError, StorageError, UsageError
from tests.models.zoo import weights_file

LITE = "efficientnet_lite0"


def size(file: Path) -> tuple[int, int]:
    """(width, height) of a picture."""
    image = cv2.imread(str(file))
    assert image is not None
    return image.shape[1], image.shape[0]


def test_a_sheet_has_a_picture_for_each_layer_and_reports_progress(tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    choice = AtlasOptions(layers=["stem", "blocks.1", "blocks.3"], side=48)
    count = atlas(
        LITE, tmp_path / "a.png", choice=choice, on_progress=lambda done, total: progress.append((done, total))
    )
    assert count == 3
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert size(tmp_path / "a.png")[0] == 12 + 2 * (48 + 12)


def test_each_channel_has_a_picture(tmp_path: Path) -> None:
    assert atlas(LITE, tmp_path / "a.jpg", choice=AtlasOptions(channels="blocks.1:3,5-7", side=32)) == 4


def test_an_atlas_of_an_image_dreams_from_it(tmp_path: Path) -> None:
    photo = cv2.resize(skimage.data.astronaut(), (120, 80))
    cv2.imwrite(str(tmp_path / "p.png"), photo[..., ::-1])
    choice = AtlasOptions(image=tmp_path / "p.png", layers=["blocks.2"], side=60)
    atlas(LITE, tmp_path / "a.png", choice=choice)
    sheet = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_COLOR_RGB)
    assert sheet is not None
    dreamed = sheet[12:52, 12:72].astype(float)
    small = cv2.resize(photo, (60, 40), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(dreamed.mean(2).ravel(), small.mean(2).ravel())[0, 1] > 0.5
    assert np.abs(dreamed - small).mean() > 5


def test_an_atlas_of_weights_of_the_user(tmp_path: Path) -> None:
    file = weights_file(tmp_path, "squeezenet1_1")
    choice = AtlasOptions(layers=["features.3"], weights=file, side=64)
    assert atlas("squeezenet1_1", tmp_path / "a.png", choice=choice) == 1


def test_an_unsupported_size_is_an_error_before_weights_are_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inception_v3 cannot see a picture of"):
        atlas("inception_v3", tmp_path / "a.png", choice=AtlasOptions(side=64))


def test_a_transformer_is_drawn_at_its_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FROM_NOISE, "steps", (1, 0, 0))
    file = weights_file(tmp_path, "vit_b_32")
    choice = AtlasOptions(layers=["conv_proj"], weights=file)
    assert atlas("vit_b_32", tmp_path / "a.png", choice=choice) == 1
    assert size(tmp_path / "a.png")[0] == 224 + 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["block.3"]}, "efficientnet_lite0 has no layer 'block.3'; did you mean 'blocks.3'?"),
        ({"channels": "blocks.3:40"}, "no channel 40: blocks.3 has 40 channels, from 0 to 39"),
        ({"channels": "blocks.3"}, "--channels needs a layer and its channels"),
        ({"channels": "blocks.3:5-2"}, "'5-2' is not a range of channels"),
        ({"channels": "blocks.3:1-2-3"}, "'1-2-3' is not a range of channels"),
        ({"channels": "blocks.3:0-999999"}, "a sheet has at most 400"),
        ({"side": 8}, "from 32 to 1024 pixels a side, not 8"),
        ({"target": "a.gif"}, "a sheet's path ends in .png, .jpg, .jpeg, not in '.gif'"),
    ],
)
def test_an_invalid_request_is_an_error(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    target = tmp_path / str(options.pop("target", "a.png"))
    with pytest.raises(UsageError) as caught:
        atlas(LITE, target, choice=AtlasOptions(**options))
    assert message in str(caught.value)
    assert not target.exists()


def test_missing_and_existing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read the picture .*none\.png"):
        atlas(LITE, tmp_path / "a.png", choice=AtlasOptions(image=tmp_path / "none.png"))
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(StorageError, match=r"a\.png exists"):
        atlas(LITE, tmp_path / "a.png", choice=AtlasOptions(layers=["stem"], side=32))
    with pytest.raises(RenderError):
        atlas(LITE, tmp_path / "no folder" / "a.png", choice=AtlasOptions(layers=["stem"], side=32))
    assert (tmp_path / "a.png").read_text() == "mine"


def test_labels_are_drawn_below_their_pictures(tmp_path: Path) -> None:
    black = np.zeros((40, 60, 3), np.uint8)
    cells = [Cell(black, "blocks.3", "40 channels"), Cell(black, "a.very.long.name.of.a.layer.conv2")]
    save_sheet(cells, tmp_path / "s.png", columns=2)
    sheet = cv2.imread(str(tmp_path / "s.png"))
    assert sheet is not None
    labels = sheet[12 + 40 :]
    assert labels[:, 12:72].max() > 200
    assert labels[:, 84:144].max() > 200
    assert labels[:, 72:84].max() < 60
