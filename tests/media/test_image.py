"""Initial canvases: noise, and pictures of every kind at the film's size."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from render.errors import StorageError
from render.media.image import check_image, color_statistics, image_size, load_image
from render.media.noise import noise

RANDOM = np.random.default_rng(5)
COLORED = RANDOM.integers(0, 256, (40, 56, 3), np.uint8)
"""A picture of 56 by 40."""


def rows(tensor: Tensor) -> NDArray[np.float32]:
    """A frame as HxWx3."""
    return np.asarray(tensor[0].permute(1, 2, 0).numpy(), np.float32)


@pytest.mark.parametrize("color", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("grain", "contrast"), [(1, 0.1), (6.5, 0.15), (64, 0.05)])
def test_noise_has_the_stated_mean_and_contrast(grain: float, contrast: float, color: float) -> None:
    frame = noise((128, 96), grain=grain, contrast=contrast, color=color, seed=1)
    assert frame.shape == (1, 3, 96, 128)
    assert frame.dtype == torch.float32
    assert frame.min() >= 0
    assert frame.max() <= 1
    assert float(frame.mean()) == pytest.approx(0.5, abs=0.002)
    assert float(frame.std()) == pytest.approx(contrast, rel=0.02)


def test_noise_without_contrast_is_flat_grey() -> None:
    assert torch.equal(noise((32, 16), grain=4, contrast=0, color=0.5, seed=1), torch.full((1, 3, 16, 32), 0.5))


@pytest.mark.parametrize("size", [(17, 31), (16, 400), (64, 64)])
def test_noise_has_the_requested_size(size: tuple[int, int]) -> None:
    for grain in (0.9, 7.3, 500):
        assert noise(size, grain=grain, contrast=0.2, color=0, seed=1).shape == (1, 3, size[1], size[0])


def correlation_length(frame: Tensor) -> int:
    """The shift, in pixels along a row, at which the picture's correlation with itself falls below one half."""
    values = rows(frame)[..., 0] - float(frame.mean())
    power = np.abs(np.fft.rfft(values, 2 * values.shape[1], axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1).mean(0)[: values.shape[1]]
    return int(np.argmax(correlation < correlation[0] / 2))


def test_grain_is_the_size_of_the_blobs() -> None:
    lengths = [
        correlation_length(noise((512, 512), grain=grain, contrast=0.1, color=0, seed=3)) for grain in (4, 8, 16, 32)
    ]
    for length, grain in zip(lengths, (4, 8, 16, 32), strict=True):
        assert 0.4 * grain <= length <= 1.2 * grain


def test_noise_follows_from_its_seed() -> None:
    frame = noise((64, 48), grain=8, contrast=0.2, color=0.5, seed=7)
    torch.manual_seed(1)
    assert torch.equal(frame, noise((64, 48), grain=8, contrast=0.2, color=0.5, seed=7))
    assert not torch.equal(frame, noise((64, 48), grain=8, contrast=0.2, color=0.5, seed=8))


@pytest.mark.parametrize("color", [0.0, 0.5, 1.0])
def test_color_goes_from_grey_to_independent_channels(color: float) -> None:
    frame = noise((512, 512), grain=4, contrast=0.1, color=color, seed=2)
    correlation = np.corrcoef(frame[0].reshape(3, -1).numpy())
    assert correlation[0, 1] == pytest.approx(1 - color, abs=0.05)
    assert correlation[1, 2] == pytest.approx(1 - color, abs=0.05)
    if color == 0:
        assert torch.equal(frame[:, 0], frame[:, 1])
        assert torch.equal(frame[:, 1], frame[:, 2])


@pytest.mark.parametrize("grain", [0.05, 2000])
def test_noise_takes_the_memory_of_a_few_pictures(grain: float) -> None:
    tracemalloc.start()
    try:
        noise((64, 64), grain=grain, contrast=0.2, color=0, seed=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6


@pytest.mark.parametrize("name", ["p.png", "p.bmp", "p.tif", "p.ppm"])
def test_an_8_bit_picture_of_the_films_size_is_exact(tmp_path: Path, name: str) -> None:
    Image.fromarray(COLORED).save(tmp_path / name)
    assert image_size(tmp_path / name) == (56, 40)
    frame = load_image(tmp_path / name, (56, 40))
    assert frame.shape == (1, 3, 40, 56)
    assert frame.is_contiguous()
    assert np.array_equal(rows(frame), COLORED.astype(np.float32) / 255)


def test_a_16_bit_picture_keeps_its_16_bits(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    deep = RANDOM.integers(0, 65536, (40, 56, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "p.png"), deep[..., ::-1])
    assert np.array_equal(rows(load_image(tmp_path / "p.png", (56, 40))), deep.astype(np.float32) / 65535)


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_grey_picture_is_the_same_in_every_channel(tmp_path: Path, kind: type[np.generic], white: int) -> None:
    grey = RANDOM.integers(0, white + 1, (40, 56)).astype(kind)
    Image.fromarray(grey).save(tmp_path / "p.png")
    pixels = rows(load_image(tmp_path / "p.png", (56, 40)))
    for channel in range(3):
        assert np.array_equal(pixels[..., channel], grey.astype(np.float32) / white)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    alpha = RANDOM.integers(0, 256, (40, 56, 1), np.uint8)
    Image.fromarray(np.concatenate([COLORED, alpha], 2)).save(tmp_path / "p.png")
    assert np.array_equal(rows(load_image(tmp_path / "p.png", (56, 40))), COLORED.astype(np.float32) / 255)


def test_a_palette_is_converted_to_its_colours(tmp_path: Path) -> None:
    indexed = Image.fromarray(COLORED).quantize(16)
    indexed.save(tmp_path / "p.png")
    pixels = rows(load_image(tmp_path / "p.png", (56, 40)))
    assert np.array_equal(pixels, np.asarray(indexed.convert("RGB"), np.float32) / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_rotated_by_its_exif_orientation(tmp_path: Path, orientation: int) -> None:
    down, right = np.mgrid[0:40, 0:56]
    photo = Image.fromarray(np.stack([down * 6, right * 4, 0 * down], 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "p.jpg", exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "p.jpg"))
    assert image_size(tmp_path / "p.jpg") == upright.size
    pixels = rows(load_image(tmp_path / "p.jpg", upright.size))
    assert np.abs(pixels * 255 - np.asarray(upright, np.float32)).max() < 8


@pytest.mark.parametrize("size", [(60, 60), (120, 40), (40, 120), (300, 200), (40, 300), (201, 99)])
def test_a_picture_covers_the_film_and_keeps_its_aspect(tmp_path: Path, size: tuple[int, int]) -> None:
    down, right = np.mgrid[0:120, 0:160]
    inside = (down - 59.5) ** 2 + (right - 79.5) ** 2 < 4**2
    Image.fromarray((inside * 255).astype(np.uint8)).save(tmp_path / "p.png")
    disc = rows(load_image(tmp_path / "p.png", size))[..., 0]
    assert disc.shape == (size[1], size[0])
    scale = max(size[0] / 160, size[1] / 120)
    assert disc.sum() == pytest.approx(inside.sum() * scale**2, rel=0.05)
    down, right = np.mgrid[0 : size[1], 0 : size[0]]
    weight = disc / disc.sum()
    middle = (weight * down).sum(), (weight * right).sum()
    assert middle[0] == pytest.approx((size[1] - 1) / 2, abs=0.6)
    assert middle[1] == pytest.approx((size[0] - 1) / 2, abs=0.6)
    tall, wide = (weight * (down - middle[0]) ** 2).sum(), (weight * (right - middle[1]) ** 2).sum()
    assert np.sqrt(tall / wide) == pytest.approx(1, abs=0.06)


def test_a_picture_with_one_side_of_the_film_is_cropped_and_not_resampled(tmp_path: Path) -> None:
    Image.fromarray(COLORED).save(tmp_path / "p.png")
    pixels = rows(load_image(tmp_path / "p.png", (30, 40)))
    assert np.array_equal(pixels, COLORED[:, 13:43].astype(np.float32) / 255)


@pytest.mark.parametrize("size", [(20, 14), (200, 160)])
def test_scaled_values_stay_between_0_and_1(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(COLORED // 128 * 255).save(tmp_path / "p.png")
    frame = load_image(tmp_path / "p.png", size)
    assert frame.min() >= 0
    assert frame.max() <= 1


def broken_picture(folder: Path, kind: str) -> Path:
    """The path of a file that is not a picture, or nothing at this path."""
    path = folder / f"{kind}.{'jpg' if kind == 'truncated photo' else 'png'}"
    match kind:
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("size: [64, 64]\n")
        case "empty":
            path.touch()
        case "truncated" | "truncated photo":
            Image.fromarray(COLORED).save(path)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "truncated", "truncated photo"])
def test_a_broken_picture_is_a_storage_error_of_one_line(tmp_path: Path, kind: str) -> None:
    path = broken_picture(tmp_path, kind)
    for read in (lambda: load_image(path, (56, 40)), lambda: image_size(path)):
        with pytest.raises(StorageError) as failure:
            read()
        assert str(path) in str(failure.value)
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("kind", ["text", "truncated", "truncated photo"])
def test_a_broken_picture_prints_nothing(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = broken_picture(tmp_path, kind)
    with pytest.raises(StorageError):
        image_size(path)
    assert capfd.readouterr() == ("", "")


def test_a_picture_that_is_replaced_is_measured_and_checked_again(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (32, 32), (51, 51, 51)).save(path)
    check_image(path)
    assert color_statistics(path, (32, 32))[0] == pytest.approx(0.2)
    Image.new("RGB", (32, 32), (153, 153, 153)).save(path)
    assert color_statistics(path, (32, 32))[0] == pytest.approx(0.6)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StorageError):
        check_image(path)
    path.unlink()
    with pytest.raises(StorageError):
        check_image(path)
