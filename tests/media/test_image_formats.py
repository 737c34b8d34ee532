"""Every format at every depth, with alpha, profile and orientation, is what its samples say by arithmetic."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from render.media.image import image_size, load_image
from tests.media.pictures import (
    ADOBE,
    ADOBE_D50,
    EXIF_TURNS,
    P3,
    P3_D50,
    SRGB_D50,
    Samples,
    exif,
    from_srgb,
    png,
    png_profile,
    to_srgb,
)

RANDOM = np.random.default_rng(11)
COLORS = RANDOM.uniform(0, 1, (6, 9, 3))
SMOOTH = np.stack(np.broadcast_arrays(np.linspace(0.5, 0.9, 24)[:, None], np.linspace(0.3, 0.6, 32), 0.4), axis=-1)
ALPHA = RANDOM.uniform(0.3, 1, (6, 9, 1))
PROFILES: dict[str, tuple[bytes | None, Callable[[Samples], Samples]]] = {
    "none": (None, lambda values: values),
    "Display P3": (P3, lambda values: to_srgb(from_srgb(values), P3_D50)),
    "Adobe RGB": (ADOBE, lambda values: to_srgb(values**2.19921875, ADOBE_D50)),
}


def pixels(path: Path) -> NDArray[np.float64]:
    """The picture as the reader returns it, HxWx3."""
    size = image_size(path)
    frame = load_image(path, size)
    assert frame.shape == (1, 3, size[1], size[0])
    return frame[0].permute(1, 2, 0).numpy().astype(np.float64)


def quantized(values: Samples, dtype: type[np.generic]) -> Samples:
    """Values in [0, 1] as samples of a type."""
    samples = values * white(dtype)
    return (samples if np.issubdtype(dtype, np.floating) else np.rint(samples)).astype(dtype)


def white(dtype: Any) -> float:
    """The sample of full intensity."""
    return 1.0 if np.issubdtype(dtype, np.floating) else float(np.iinfo(dtype).max)


def restored(samples: Samples) -> NDArray[np.float64]:
    """Samples as values in [0, 1]."""
    return np.asarray(samples / white(samples.dtype), np.float64)


def tiff(samples: Samples, orientation: int, profile: bytes | None, **options: Any) -> bytes:
    """A TIFF by tifffile."""
    stream = io.BytesIO()
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(stream, samples, iccprofile=profile, extratags=tags, metadata=None, **options)
    return stream.getvalue()


def pillow(kind: str, samples: Samples, orientation: int, *, profile: bytes | None, **options: Any) -> bytes:
    """A picture by Pillow."""
    stream, block = io.BytesIO(), Image.Exif()
    block[0x0112] = orientation
    Image.fromarray(samples).save(stream, kind, exif=block, icc_profile=profile, **options)
    return stream.getvalue()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(dtype: type[np.generic], alpha: bool, profile: str, tmp_path: Path) -> None:
    data, convert = PROFILES[profile]
    samples = quantized(np.concatenate([COLORS, ALPHA], axis=2)[..., : 4 if alpha else 3], dtype)
    expected = convert(restored(samples)[..., :3])
    for orientation, turn in EXIF_TURNS.items():
        chunks = {b"eXIf": exif(orientation), **({b"iCCP": png_profile(data)} if data else {})}
        (tmp_path / "p.png").write_bytes(png(samples, chunks))
        np.testing.assert_allclose(pixels(tmp_path / "p.png"), turn(expected), atol=1e-3)


TIFF_DEPTHS = [np.uint8, np.uint16, np.uint32, np.float32, np.float64]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("alpha", ["", "unassalpha", "assocalpha"])
@pytest.mark.parametrize("dtype", TIFF_DEPTHS)
def test_tiff(dtype: type[np.generic], alpha: str, profile: str, tmp_path: Path) -> None:
    data, convert = PROFILES[profile]
    colors = COLORS * ALPHA if alpha == "assocalpha" else COLORS
    samples = quantized(np.concatenate([colors, ALPHA], axis=2)[..., : 4 if alpha else 3], dtype)
    values = restored(samples)
    straight = values[..., :3] / (values[..., 3:] if alpha == "assocalpha" else 1)
    is_linear = samples.dtype.kind == "f" and data is None
    expected = to_srgb(straight, SRGB_D50) if is_linear else convert(np.clip(straight, 0, 1))
    is_rounded = dtype is np.uint8 and alpha == "assocalpha"  # Pillow divides by alpha in integers
    options = {"photometric": "rgb", **({"extrasamples": [alpha]} if alpha else {})}
    for orientation, turn in EXIF_TURNS.items():
        (tmp_path / "p.tif").write_bytes(tiff(samples, orientation, data, **options))
        np.testing.assert_allclose(pixels(tmp_path / "p.tif"), turn(expected), atol=0.01 if is_rounded else 1e-3)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_grey_tiff(dtype: type[np.generic], photometric: str, order: str, tmp_path: Path) -> None:
    samples = quantized(COLORS[..., 0], dtype)
    data = tiff(samples, 1, None, photometric=photometric, byteorder=order, bigtiff=order == ">")
    (tmp_path / "p.tif").write_bytes(data)
    values = restored(samples)
    expected = 1 - values if photometric == "miniswhite" else values
    np.testing.assert_allclose(pixels(tmp_path / "p.tif"), np.repeat(expected[..., None], 3, axis=2), atol=1e-6)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {"lossless": True, "exact": True}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 10}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4", "speed": 10, "alpha_premultiplied": True}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
    ],
)
def test_webp_avif_and_jpeg(kind: str, options: dict[str, Any], alpha: bool, profile: str, tmp_path: Path) -> None:
    if kind == "JPEG" and alpha:
        return
    data, convert = PROFILES[profile]
    cover = np.full((24, 32, 1), 0.6)
    samples = quantized(np.concatenate([SMOOTH, cover], axis=2)[..., : 4 if alpha else 3], np.uint8)
    expected = convert(restored(samples)[..., :3])
    tolerance = 3e-4 if kind == "WEBP" else 6 / 255
    for orientation, turn in EXIF_TURNS.items():
        (tmp_path / "p").write_bytes(pillow(kind, samples, orientation, profile=data, **options))
        np.testing.assert_allclose(pixels(tmp_path / "p"), turn(expected), atol=tolerance)


NETPBM_WHITES = [1, 3, 100, 254, 255, 256, 1023, 4095, 65535]


@pytest.mark.parametrize("highest", NETPBM_WHITES)
def test_netpbm(highest: int, tmp_path: Path) -> None:
    colors = np.rint(COLORS * highest).astype(">u2" if highest > 255 else ">u1")
    grey = colors[..., :1]
    size = "# a comment\n9 # another 7\n6"
    files = {
        "P2": f"P2 {size} {highest}\n{' '.join(map(str, grey.ravel()))}\n".encode(),
        "P3": f"P3\n{size}\n{highest}\n{' '.join(map(str, colors.ravel()))}\n".encode(),
        "P5": f"P5\n{size}\n{highest}\n".encode() + grey.tobytes(),
        "P6": f"P6\n{size}\n{highest}\n".encode() + colors.tobytes(),
    }
    for channels, kind in enumerate(("GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"), 1):
        stored = np.concatenate([grey if channels < 3 else colors, grey], axis=2)[..., :channels]
        header = f"P7\nWIDTH 9\nHEIGHT 6\nDEPTH {channels}\nMAXVAL {highest}\nTUPLTYPE {kind}\nENDHDR\n"
        files[kind] = header.encode() + stored.astype(colors.dtype).tobytes()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        expected = (grey if name in ("P2", "P5") or "GRAY" in name else colors) / highest
        np.testing.assert_allclose(pixels(tmp_path / name), np.broadcast_to(expected, (6, 9, 3)), atol=1e-6)


def test_bitmaps_of_one_bit(tmp_path: Path) -> None:
    bits = (COLORS[..., 0] > 0.5).astype(np.uint8)
    files = {
        "P1": b"P1\n9 6\n" + " ".join(map(str, bits.ravel())).encode() + b"\n",
        "P4": b"P4\n9 6\n" + np.packbits(bits, axis=1).tobytes(),
        "P7": b"P7\nWIDTH 9\nHEIGHT 6\nDEPTH 1\nMAXVAL 1\nTUPLTYPE BLACKANDWHITE\nENDHDR\n" + bits.tobytes(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        expected = bits if name == "P7" else 1 - bits  # 1 is black in a PBM, white in a PAM
        np.testing.assert_array_equal(pixels(tmp_path / name), np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("order", ["<", ">"])
def test_float_map_is_linear_light(order: str, tmp_path: Path) -> None:
    stored = COLORS.astype(f"{order}f4")
    scale = -1.0 if order == "<" else 1.0
    (tmp_path / "p.pfm").write_bytes(f"PF\n9 6\n{scale}\n".encode() + stored[::-1].tobytes())
    np.testing.assert_allclose(pixels(tmp_path / "p.pfm"), to_srgb(COLORS, SRGB_D50), atol=2e-6)


def test_radiance_is_linear_light_of_its_primaries(tmp_path: Path) -> None:
    rgbe = np.tile(np.array([128, 64, 32, 128], np.uint8), 54).tobytes()
    header = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n%s\n-Y 6 +X 9\n"
    for primaries in (b"", b"PRIMARIES=0.64 0.33 0.30 0.60 0.15 0.06 0.3127 0.3290\n"):
        (tmp_path / "p.hdr").write_bytes(header % primaries + rgbe)
        np.testing.assert_allclose(pixels(tmp_path / "p.hdr")[0, 0], [0.7354, 0.5371, 0.3889], atol=1e-3)
    (tmp_path / "p.hdr").write_bytes(header % b"PRIMARIES=0.68 0.32 0.265 0.69 0.15 0.06 0.3127 0.3290\n" + rgbe)
    expected = to_srgb(np.array([0.5, 0.25, 0.125]), P3_D50)
    np.testing.assert_allclose(pixels(tmp_path / "p.hdr")[0, 0], expected, atol=1e-3)
