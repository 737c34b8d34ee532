"""Conditioners: what each filter does to the spectrum and the colours of a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from render.dream import gradients
from render.dream.gradients import Conditioner

CONDITIONERS = {
    "natural": gradients.natural(0.35, 0.85),
    "gaussian": gradients.gaussian(1.0),
    "laplacian": gradients.laplacian(4),
    "raw": gradients.raw(),
}


def noise(height: int = 48, width: int = 64) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(3))


def spectral_power(gradient: Tensor, low: float, high: float) -> float:
    """Returns the mean spectral power between two frequencies in cycles per pixel."""
    rows, columns = torch.fft.fftfreq(gradient.shape[2]), torch.fft.fftfreq(gradient.shape[3])
    radius = torch.hypot(rows[:, None], columns[None])
    spectrum = torch.fft.fft2(gradient).abs().square().mean((0, 1))
    return float(spectrum[(radius >= low) & (radius < high)].mean())


@pytest.mark.parametrize("size", [(48, 64), (33, 35), (7, 200)])
@pytest.mark.parametrize("name", CONDITIONERS)
def test_every_conditioner_keeps_the_shape_and_is_finite(name: str, size: tuple[int, int]) -> None:
    conditioned = CONDITIONERS[name](noise(*size))
    assert conditioned.shape == (1, 3, *size)
    assert conditioned.isfinite().all()
    assert conditioned.dtype == torch.float32


@pytest.mark.parametrize("name", ["natural", "gaussian", "raw"])
def test_linear_conditioners_are_linear(name: str) -> None:
    conditioner: Conditioner = CONDITIONERS[name]
    other = noise().flip(3)
    torch.testing.assert_close(conditioner(3 * noise() + other), 3 * conditioner(noise()) + conditioner(other))


def test_natural_without_decay_power_and_color_correlation_is_the_identity() -> None:
    torch.testing.assert_close(gradients.natural(0.0, 0.0)(noise()), noise())


@pytest.mark.parametrize("decay_power", [0.25, 0.5])
def test_natural_divides_the_spectrum_by_the_frequency_to_twice_the_decay_power(decay_power: float) -> None:
    white = noise(256, 256)
    filtered = gradients.natural(decay_power, 0.0)(white)
    low, high = (spectral_power(filtered, f, 1.1 * f) / spectral_power(white, f, 1.1 * f) for f in (0.1, 0.2))
    assert low / high == pytest.approx(2 ** (4 * decay_power), rel=0.02)


def test_natural_is_isotropic_and_has_no_phase() -> None:
    impulse = torch.zeros(1, 3, 65, 65)
    impulse[:, :, 32, 32] = 1
    response = gradients.natural(0.35, 0.0)(impulse)
    torch.testing.assert_close(response, response.transpose(2, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(response, response.flip(2), atol=1e-6, rtol=0)


def test_full_color_correlation_pulls_colors_toward_grey() -> None:
    mixed = gradients.natural(0.0, 1.0)(noise())
    grey = mixed.mean(1, keepdim=True)
    assert (mixed - grey).square().mean() < 0.1 * grey.square().mean()
    assert (noise() - noise().mean(1, keepdim=True)).square().mean() > 0.5


def test_gaussian_removes_fine_detail_and_keeps_a_constant() -> None:
    blurred = gradients.gaussian(2.0)(noise())
    assert spectral_power(blurred, 0.3, 0.5) < 0.2 * spectral_power(noise(), 0.3, 0.5)
    torch.testing.assert_close(gradients.gaussian(2.0)(torch.ones(1, 3, 20, 20)), torch.ones(1, 3, 20, 20))


def test_laplacian_gives_every_octave_of_the_spectrum_similar_energy() -> None:
    """White noise has a quarter of the energy in each lower octave; normalised octaves differ little."""
    white = noise(128, 128)
    octaves = [(0.5 / 2**k, 1.0 / 2**k) for k in range(1, 4)]

    def energies(gradient: Tensor) -> list[float]:
        return [spectral_power(gradient, low, high) * (high**2 - low**2) for low, high in octaves]

    before, after = energies(white), energies(gradients.laplacian(5)(white))
    assert max(before) / min(before) > 12
    assert max(after) / min(after) < 2.5


@pytest.mark.parametrize("name", CONDITIONERS)
def test_a_gradient_of_zeros_stays_zeros(name: str) -> None:
    assert torch.equal(CONDITIONERS[name](torch.zeros(1, 3, 32, 32)), torch.zeros(1, 3, 32, 32))
