"""Mean and contrast of 2,000 frames of zoom.yaml at 192x192 without grading, relative to frame 50's.

And the mean gradient magnitude at the borders of these frames relative to elsewhere, which a seam would raise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from torch import Tensor

from render import frames, load

FRAMES = 2000
SETTINGS = (("duration", str(FRAMES)), ("size", "[192, 192]"), ("grade.strength", "0"))
REFERENCE = 50
MEAN_TOLERANCE = 0.06
CONTRAST_TOLERANCE = 0.15
SEAM_TOLERANCE = 0.05
PLOT = Path("docs/drift.png")


def main() -> None:
    """Measures, prints and plots; exits with status 1 if a frame exceeds the tolerance."""
    scene = load("configs/zoom.yaml", [("--set", key, value) for key, value in SETTINGS])
    means, contrasts, ratios = [], [], []
    for index, frame in frames(scene):
        means.append(float(frame.mean()))
        contrasts.append(float(frame.std((2, 3)).mean()))
        ratios.append(border_ratio(frame))
        if index % 100 == 0:
            print(f"frame {index:>4}: mean {means[-1]:.3f}, contrast {contrasts[-1]:.3f}", flush=True)
    mean, contrast = means[REFERENCE], contrasts[REFERENCE]
    low, high = min(means[REFERENCE:]) - mean, max(means[REFERENCE:]) - mean
    least, most = (extreme(contrasts[REFERENCE:]) / contrast - 1 for extreme in (min, max))
    print(f"mean {low:+.3f} to {high:+.3f} of frame {REFERENCE}'s (tolerance {MEAN_TOLERANCE})")
    print(f"contrast {least:+.1%} to {most:+.1%} of frame {REFERENCE}'s (tolerance {CONTRAST_TOLERANCE:.0%})")
    seam = sum(ratios) / len(ratios) - 1
    print(f"gradient at the borders {seam:+.1%} of elsewhere (tolerance {SEAM_TOLERANCE:.0%})")
    _plot(means, contrasts)
    is_within = max(-low, high) <= MEAN_TOLERANCE and max(-least, most) <= CONTRAST_TOLERANCE
    sys.exit(0 if is_within and abs(seam) <= SEAM_TOLERANCE else 1)


def border_ratio(frame: Tensor) -> float:
    """Returns the mean gradient magnitude between the two outermost rows and columns, relative to that of all."""
    columns, rows = frame.diff(dim=3).abs().mean((0, 1, 2)), frame.diff(dim=2).abs().mean((0, 1, 3))
    outermost = columns[0] + columns[-1] + rows[0] + rows[-1]
    return float(outermost / (2 * columns.mean() + 2 * rows.mean()))


def _plot(means: list[float], contrasts: list[float]) -> None:
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
    for values, label, tolerance in (
        (means, "mean", MEAN_TOLERANCE),
        (contrasts, "contrast", CONTRAST_TOLERANCE * contrasts[REFERENCE]),
    ):
        (line,) = axes.plot(values, label=label)
        level = values[REFERENCE]
        axes.fill_between(
            [REFERENCE, len(values)], level - tolerance, level + tolerance, color=line.get_color(), alpha=0.1
        )
    axes.set(xlabel="frame", ylim=(0, 0.7), xlim=(0, len(means)))
    axes.legend(loc="upper right", ncols=2)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=110)
    print(f"written to {PLOT}")


if __name__ == "__main__":
    main()
