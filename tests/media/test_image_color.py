"""Colours are converted to sRGB as littlecms, ffmpeg or arithmetic has them, or the picture is refused by name."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from render.errors import StorageError
from render.media import ffmpeg
from render.media.clip import clip_frames, probe_clip
from render.media.image import image_size, load_image, load_mask
from tests.media.pictures import (
    ADOBE,
    P3,
    P3_D50,
    SRGB_CURVE,
    SRGB_D50,
    Samples,
    exif,
    from_srgb,
    gamma_curve,
    icc,
    matrix_icc,
    png,
    png_profile,
    srgb,
    table_curve,
    to_srgb,
)

COLORS = np.random.default_rng(7).integers(0, 256, (8, 10, 3), np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROPHOTO_D50 = np.array([[0.797675, 0.135192, 0.031353], [0.288040, 0.711874, 0.000086], [0, 0, 0.825210]])
SWEPT = np.linspace(0, 1, 200)
CURVES = {
    "gamma": gamma_curve(1.8),
    "identity": struct.pack(">4s4xI", b"curv", 0),
    "table": table_curve(SWEPT**2.4),
    "para 0": struct.pack(">4s4xHxxi", b"para", 0, round(65536 * 2.2)),
    "para 1": struct.pack(">4s4xHxx3i", b"para", 1, *(round(65536 * n) for n in (2.2, 0.95, 0.05))),
    "para 2": struct.pack(">4s4xHxx4i", b"para", 2, *(round(65536 * n) for n in (2.2, 0.9, 0.02, 0.05))),
    "para 3": SRGB_CURVE,
    "para 4": struct.pack(
        ">4s4xHxx7i",
        b"para",
        4,
        *(round(65536 * n) for n in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.01, 0.01)),
    ),
}


def values(path: Path) -> Samples:
    """The picture as the reader returns it, HxWx3."""
    return load_image(path, image_size(path))[0].permute(1, 2, 0).numpy()


def by_littlecms(picture: Image.Image, profile: bytes) -> Samples:
    """The picture in sRGB, relative colorimetric, in [0, 1]."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    converted = ImageCms.profileToProfile(picture, source, target, renderingIntent=intent, outputMode="RGB")
    return np.asarray(converted) / 255


@pytest.mark.parametrize("curve", CURVES)
def test_matrix_profiles_are_as_by_littlecms(curve: str, tmp_path: Path) -> None:
    for columns in (P3_D50, SRGB_D50, PROPHOTO_D50):
        profile = matrix_icc(columns, CURVES[curve])
        (tmp_path / "p.png").write_bytes(png(COLORS, {b"iCCP": png_profile(profile)}))
        expected = by_littlecms(Image.fromarray(COLORS), profile)
        np.testing.assert_allclose(values(tmp_path / "p.png"), expected, atol=1.6 / 255)


def test_a_profile_of_srgb_changes_no_value(tmp_path: Path) -> None:
    for profile in (SRGB, matrix_icc(SRGB_D50, SRGB_CURVE), matrix_icc(SRGB_D50, table_curve(from_srgb(SWEPT)))):
        (tmp_path / "p.png").write_bytes(png(COLORS, {b"iCCP": png_profile(profile)}))
        np.testing.assert_array_equal(values(tmp_path / "p.png"), COLORS.astype(np.float32) / 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_profiles_convert_grey_pictures(dtype: type[np.generic], tmp_path: Path) -> None:
    white = np.iinfo(dtype).max  # type: ignore[type-var]  # the dtypes above are integers
    grey = np.linspace(0, white, 80).astype(dtype).reshape(8, 10, 1)
    profile = icc(b"GRAY", {b"kTRC": gamma_curve(1.5)})
    (tmp_path / "p.png").write_bytes(png(grey, {b"iCCP": png_profile(profile)}))
    expected = np.broadcast_to(srgb((grey / white) ** 1.5), (8, 10, 3))
    np.testing.assert_allclose(values(tmp_path / "p.png"), expected, atol=1e-5)
    mask = load_mask(tmp_path / "p.png", (10, 8))[0, 0].numpy()
    np.testing.assert_allclose(mask, expected[..., 0], atol=1e-5)


def lut(inputs: int, corners: Samples) -> bytes:
    """A table of 8 bits to CIELAB with two points a channel (ICC.1:2001-04, 6.5.10)."""
    identity = np.rint(65536 * np.identity(3)).astype(">i4").tobytes()
    ramp = bytes(range(256))
    return b"mft1\0\0\0\0" + bytes([inputs, 3, 2, 0]) + identity + inputs * ramp + corners.tobytes() + 3 * ramp


def by_lab(lab: Samples) -> Samples:
    """CIELAB of D50, 8 bits as in a table, as sRGB."""
    lightness, a, b = lab[..., 0] / 2.55, lab[..., 1] - 128.0, lab[..., 2] - 128.0
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    return srgb(xyz @ np.linalg.inv(SRGB_D50).T)


def corner_table(inputs: int, *, white: int) -> Samples:
    """Colours within sRGB, one for each corner; littlecms makes paper and full light white."""
    random = np.random.default_rng(inputs)
    lightness, a, b = random.integers(90, 200, 2**inputs), *random.integers(115, 141, (2, 2**inputs))
    table = np.stack([lightness, a, b], axis=1).astype(np.uint8)
    table[white] = (255, 128, 128)
    return table


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_converted_by_its_profile(kind: str, tmp_path: Path) -> None:
    corners = corner_table(4, white=0)
    profile = icc(b"CMYK", {b"A2B0": lut(4, corners), b"A2B1": lut(4, corners)}, connection=b"Lab ", kind=b"prtr")
    for index in range(16):
        inks = bytes(255 * (index >> shift & 1) for shift in (3, 2, 1, 0))
        picture = Image.frombytes("CMYK", (16, 8), 128 * inks)
        block = Image.Exif()
        block[0x0112] = 6
        picture.save(
            tmp_path / "p", kind, icc_profile=profile, exif=block, **({"quality": 100} if kind == "JPEG" else {})
        )
        result = values(tmp_path / "p")
        assert result.shape == (16, 8, 3)
        np.testing.assert_allclose(result[4, 4], by_lab(corners[index]), atol=3 / 255)


def test_profiles_of_tables_convert_rgb(tmp_path: Path) -> None:
    corners = corner_table(3, white=7)
    profile = icc(b"RGB ", {b"A2B0": lut(3, corners), b"A2B1": lut(3, corners)}, connection=b"Lab ", kind=b"scnr")
    samples = np.array([[[255 * (i >> shift & 1) for shift in (2, 1, 0)] for i in range(8)]], np.uint8)
    for stored in (samples, samples.astype(np.uint16) * 257):
        (tmp_path / "p.png").write_bytes(png(stored, {b"iCCP": png_profile(profile)}))
        np.testing.assert_allclose(values(tmp_path / "p.png")[0], by_lab(corners), atol=2 / 255)


def chromaticities(*points: float) -> bytes:
    """The content of a cHRM chunk: x, y of white, red, green, blue."""
    return struct.pack(">8I", *(round(100_000 * point) for point in points))


P3_POINTS = chromaticities(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
ENCODED = COLORS / 255
TAGGED: dict[str, tuple[dict[bytes, bytes], Samples]] = {
    "gamma 1": ({b"gAMA": struct.pack(">I", 100_000)}, srgb(ENCODED)),
    "gamma 1.8": ({b"gAMA": struct.pack(">I", 55556)}, srgb(ENCODED**1.8)),
    "gamma 2.2 is sRGB": ({b"gAMA": struct.pack(">I", 45455)}, ENCODED),
    "chromaticities": ({b"cHRM": P3_POINTS}, to_srgb(from_srgb(ENCODED), P3_D50)),
    "sRGB before gamma": ({b"gAMA": struct.pack(">I", 100_000), b"sRGB": b"\0"}, ENCODED),
    "profile before gamma": (
        {b"gAMA": struct.pack(">I", 100_000), b"iCCP": png_profile(P3)},
        to_srgb(from_srgb(ENCODED), P3_D50),
    ),
    "code points of P3": ({b"cICP": bytes([12, 13, 0, 1])}, to_srgb(from_srgb(ENCODED), P3_D50)),
    "code points before profile": ({b"cICP": bytes([1, 13, 0, 1]), b"iCCP": png_profile(ADOBE)}, ENCODED),
    "linear code points": ({b"cICP": bytes([1, 8, 0, 1])}, srgb(ENCODED)),
    "BT.709 is displayed": ({b"cICP": bytes([1, 1, 0, 1])}, ENCODED),
}


@pytest.mark.parametrize("name", TAGGED)
def test_png_without_profile_is_converted_by_its_chunks(name: str, tmp_path: Path) -> None:
    chunks, expected = TAGGED[name]
    (tmp_path / "p.png").write_bytes(png(COLORS, chunks))
    np.testing.assert_allclose(values(tmp_path / "p.png"), expected, atol=1e-3)


def test_a_bmp_is_converted_by_its_profile(tmp_path: Path) -> None:
    rows = b"".join(row.tobytes().ljust(32, b"\0") for row in COLORS[::-1, :, ::-1])
    header = struct.pack("<IiiHHII", 124, 10, 8, 1, 24, 0, len(rows)).ljust(56, b"\0") + b"DEBM"
    header = header.ljust(112, b"\0") + struct.pack("<III", 124 + len(rows), len(P3), 0)
    start = 14 + len(header)
    data = struct.pack("<2sIII", b"BM", start + len(rows) + len(P3), 0, start) + header + rows + P3
    (tmp_path / "p.bmp").write_bytes(data)
    np.testing.assert_allclose(values(tmp_path / "p.bmp"), to_srgb(from_srgb(ENCODED), P3_D50), atol=1e-3)


RAMP = np.stack(
    np.broadcast_arrays(np.linspace(9000, 60000, 64), np.linspace(50000, 20000, 48)[:, None], 30000), axis=-1
)


def by_ffmpeg(path: Path, *options: str) -> Path:
    """Encodes the ramp; returns the path."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", "64x48", "-i", "-"]
    with ffmpeg.Writer([*ffmpeg.QUIET, *raw, "-frames:v", "1", *options, str(path)]) as writer:
        writer.write(memoryview(RAMP.astype("<u2").tobytes()))
        writer.finish()
    return path


AV1 = ("-c:v", "libaom-av1", "-still-picture", "1", "-crf", "2", "-cpu-used", "8")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((f"{form}.avif", (*AV1, "-pix_fmt", form)) for form in ("yuv444p10le", "yuv420p12le", "gray10le", "yuv420p")),
        *((f"{form}.jp2", ("-c:v", "libopenjpeg", "-pix_fmt", form)) for form in ("gray12le", "gray10le", "rgb48le")),
        ("rgb48le.png", ("-pix_fmt", "rgb48be")),
        ("gray16le.tif", ("-pix_fmt", "gray16le")),
        ("rgb48le.tif", ("-pix_fmt", "rgb48le")),
    ],
)
def test_deep_pictures_are_as_by_ffmpeg(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    path = by_ffmpeg(tmp_path / name, *options)
    decoded = ffmpeg.run(*ffmpeg.QUIET, "-i", str(path), "-pix_fmt", "rgb48le", "-f", "rawvideo", "-")
    expected = np.frombuffer(decoded, "<u2").reshape(48, 64, 3) / 65535
    assert np.ptp(expected) > 0.3
    np.testing.assert_allclose(values(path), expected, atol=8 / 255 if "avif" in name else 1e-3)


def test_numbered_pictures_are_as_the_single_ones(tmp_path: Path) -> None:
    for suffix in ("png", "jp2", "pgm", "avif"):
        for number in (1, 2):
            path = tmp_path / f"{number}.{suffix}"
            if suffix == "png":
                path.write_bytes(png(COLORS, {b"iCCP": png_profile(P3), b"eXIf": exif(6)}))
            elif suffix == "pgm":
                path.write_bytes(b"P5\n10 8\n100\n" + (COLORS[..., 0] % 101).tobytes())
            else:
                by_ffmpeg(path, *(("-pix_fmt", "gray12le") if suffix == "jp2" else (*AV1, "-pix_fmt", "yuv444p10le")))
        clip = probe_clip(tmp_path / f"%d.{suffix}")
        assert clip.size == image_size(tmp_path / f"1.{suffix}")
        for frame in clip_frames(clip, clip.size, fps=Fraction(24), frames=range(2)):
            np.testing.assert_array_equal(frame[0].permute(1, 2, 0).numpy(), values(tmp_path / f"1.{suffix}"))


def test_an_unusual_profile_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    profile = P3[:12] + b"link" + P3[16:]
    (tmp_path / "p.png").write_bytes(png(COLORS, {b"iCCP": png_profile(profile), b"eXIf": b"no EXIF"}))
    values(tmp_path / "p.png")
    assert capfd.readouterr() == ("", "")


def test_damaged_numbers_of_a_profile_give_colours_or_an_error(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    profiles = [matrix_icc(P3_D50, curve) for curve in CURVES.values()]
    for index in range(200):
        data = np.frombuffer(profiles[index % len(profiles)], np.uint8).copy()
        data[random.integers(16, len(data), 4)] = random.choice([0, 1, 10, 127, 128, 255], 4)
        (tmp_path / "p.png").write_bytes(png(COLORS, {b"iCCP": png_profile(data.tobytes())}))
        result = values_or_message(tmp_path / "p.png")
        if isinstance(result, str):
            assert "colour profile" in result
            assert "\n" not in result
        else:
            assert 0 <= result.min() <= result.max() <= 1


def values_or_message(path: Path) -> Samples | str:
    """The picture, or the message of the error."""
    try:
        return values(path)
    except StorageError as error:
        return str(error)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """A picture by Pillow."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def tiff(samples: Samples, **options: object) -> bytes:
    """A TIFF by tifffile."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **options)  # type: ignore[arg-type]  # of several types
    return stream.getvalue()


AVIF = saved(Image.fromarray(COLORS.repeat(4, 0).repeat(4, 1)), "AVIF")
CODES = re.search(rb"nclx....", AVIF, re.DOTALL)
HDR_PROFILE = icc(b"RGB ", {b"cicp": b"cicp\0\0\0\0" + bytes([9, 16, 0, 1])})
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "PQ AVIF": (lambda: AVIF.replace(CODES[0], b"nclx\0\x09\0\x10") if CODES else b"", r"high dynamic range \(PQ\)"),
    "HLG AVIF": (lambda: AVIF.replace(CODES[0], b"nclx\0\x09\0\x12") if CODES else b"", r"high dynamic range \(HLG\)"),
    "PQ PNG": (lambda: png(COLORS, {b"cICP": bytes([9, 16, 0, 1])}), r"high dynamic range \(PQ\)"),
    "PQ profile": (lambda: png(COLORS, {b"iCCP": png_profile(HDR_PROFILE)}), r"high dynamic range \(PQ\)"),
    "range": (lambda: png(COLORS, {b"cICP": bytes([1, 13, 0, 0])}), "a video's range"),
    "damaged profile": (lambda: png(COLORS, {b"iCCP": png_profile(bytes(200))}), "damaged colour profile"),
    "grey profile": (
        lambda: png(COLORS, {b"iCCP": png_profile(icc(b"GRAY", {b"kTRC": gamma_curve(2)}))}),
        "a colour profile for GRAY colours",
    ),
    "CMYK JPEG": (lambda: saved(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK without a colour profile"),
    "CMYK TIFF": (lambda: saved(Image.new("CMYK", (8, 8)), "TIFF"), "CMYK without a colour profile"),
    "CMYK as RGB": (lambda: saved(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=P3), "a profile for other colours"),
    "pages": (lambda: tiff(np.stack([COLORS, COLORS]), photometric="rgb"), "several pages"),
    "preview": (lambda: tiff(COLORS, photometric="rgb", subfiletype=1), "begins with its preview"),
    "Lab TIFF": (lambda: tiff(COLORS, photometric="cielab"), "TIFF's kind 8"),
    "half": (lambda: tiff(COLORS.astype(np.float16), photometric="rgb"), "TIFF samples of 16-bit float"),
    "signed": (lambda: tiff(COLORS.astype(np.int16), photometric="rgb"), "TIFF samples of 16-bit integer"),
    "planes": (
        lambda: tiff(COLORS.transpose(2, 0, 1).astype(np.uint16).copy(), photometric="rgb", planarconfig="separate"),
        "in separate planes",
    ),
    "deep palette": (
        lambda: tiff(COLORS[..., 0].astype(np.uint16), photometric="palette", colormap=np.zeros((3, 65536), np.uint16)),
        "16-bit palette samples",
    ),
    "XYZE": (lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_xyze\n\n-Y 8 +X 8\n" + bytes(256), "XYZ colours"),
    "12-bit JPEG": (
        lambda: saved(Image.fromarray(COLORS), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        "a JPEG of 12 bits",
    ),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "a HEIC picture"),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(99), "a JPEG XL picture"),
    "OpenEXR": (lambda: b"\x76\x2f\x31\x01" + bytes(99), "an OpenEXR picture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_rightly_is_refused_by_name(name: str, tmp_path: Path) -> None:
    create, message = REFUSED[name]
    (tmp_path / "p").write_bytes(create())
    with pytest.raises(StorageError, match=rf"p .*{message}.*; .*(save|develop)") as caught:
        load_image(tmp_path / "p", (8, 8))
    assert "\n" not in str(caught.value)


def test_an_animation_is_its_first_picture(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (16, 8), color) for color in ((200, 0, 0), (0, 200, 0)))
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        data = saved(first, kind, save_all=True, append_images=[second], **options)
        (tmp_path / "p").write_bytes(data)
        np.testing.assert_allclose(values(tmp_path / "p")[4, 4], [200 / 255, 0, 0], atol=1e-6)
