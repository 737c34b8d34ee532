"""Curves over a film as a picture."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from render.analysis.curves import MAX_POINTS, Curves, Values

MAX_CURVES = 60
"""Curves of a plot, the first ones."""
ROW_INCHES, WIDTH_INCHES, DPI = 0.75, 16.0, 100
MAX_BEATS = 400
"""Beats that are drawn; of more, only the bars, or none."""
COLORS = {"sound": "#8a8f98", "signal": "#d9822b", "track": "#2b6cb0", "beat": "#b8bcc4", "cut": "#c53030"}


def plot(curves: Curves) -> bytes:
    """Returns a PNG with the sound and each curve in a row of its own, and lines at beats, bars and cuts."""
    rows = [("signal", *item) for item in curves.signals.items()]
    rows = [*rows, *(("track", *item) for item in curves.tracks.items())][:MAX_CURVES]
    count = len(rows) + (curves.sound is not None)
    figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * max(count, 1) + 0.6), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(max(count, 1), 1, sharex=True, squeeze=False)[:, 0].tolist()
    if curves.sound is not None:
        axis = axes.pop(0)
        seconds, lows, highs = curves.sound
        axis.fill_between(seconds, lows, highs, color=COLORS["sound"], linewidth=0)
        axis.set_ylim(-1, 1)
        _label(axis, "sound", "")
    for axis, (kind, name, values) in zip(axes, rows, strict=False):
        _draw(axis, values, fps=curves.fps, color=COLORS[kind], is_signal=kind == "signal")
        _label(axis, name, f"{values.min():.4g} to {values.max():.4g}" if kind == "track" else "")
    for axis in figure.axes:
        _mark(axis, curves)
        axis.set_xlim(0, curves.length / curves.fps)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[-1].set_xlabel("seconds")
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _draw(axis: Axes, values: Values, *, fps: float, color: str, is_signal: bool) -> None:
    """Draws a curve; one of more than MAX_POINTS frames by its lowest and highest values."""
    edges = np.unique(np.linspace(0, len(values), min(MAX_POINTS, len(values)), endpoint=False).astype(np.int64))
    lows, highs = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    seconds = edges / fps
    if is_signal:
        axis.fill_between(seconds, 0, highs, color=color, alpha=0.35, linewidth=0, step="post")
        axis.set_ylim(0, 1.05)
    axis.fill_between(seconds, lows, highs, color=color, linewidth=0, step="post")
    axis.plot(seconds, highs, color=color, linewidth=1, drawstyle="steps-post")
    if not is_signal and np.ptp(values) == 0:
        axis.set_ylim(values[0] - 1, values[0] + 1)


def _label(axis: Axes, name: str, note: str) -> None:
    axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    axis.set_title(note, loc="right", fontsize=7, pad=1)
    axis.tick_params(labelsize=7)


def _mark(axis: Axes, curves: Curves) -> None:
    """Draws lines at beats, bars and cuts."""
    is_dense = len(curves.beats) > MAX_BEATS
    lines = [(curves.bars if is_dense else curves.beats, 0.5)] if len(curves.bars) <= MAX_BEATS else []
    for times, width in [*lines, *([] if is_dense or not lines else [(curves.bars, 1.2)])]:
        for time in times:
            axis.axvline(time, color=COLORS["beat"], linewidth=width, zorder=0)
    for cut in curves.cuts:
        axis.axvline(cut / curves.fps, color=COLORS["cut"], linewidth=1, zorder=0)
