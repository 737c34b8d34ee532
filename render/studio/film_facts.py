"""What is said of a film in words and numbers."""

from __future__ import annotations

from render.studio.films import FilmState
from render.text import format_bytes

STAGES = {
    "making": "is being made",
    "queued": "waits",
    "stopped": "stopped",
    "failed": "failed",
    "finished": "finished",
}


def share_done(film: FilmState) -> float | None:
    """Returns how much of an unfinished film is done, in [0, 1]; None where it is not known."""
    preview = film.preview
    if film.stage == "finished" or preview is None or preview.last <= preview.first:
        return None
    return min(max((preview.frame + 1 - preview.first) / (preview.last - preview.first), 0.0), 1.0)


def stage_text(film: FilmState) -> str:
    """Returns in a word or two how far a film is, and who makes it."""
    text = STAGES[film.stage]
    return f"{text} by process {film.maker}" if film.maker else text


def facts(film: FilmState) -> str:
    """Returns the numbers of a film: `frame 12 of 240 · 3.2 frames/s · 1:05 left · objective 1.53 · 612 MB`."""
    preview, finished = film.preview, film.finished
    if film.stage == "finished":
        if finished is None:
            return ""
        length = f"{duration(finished.seconds)}, {finished.frames} frames, " if finished.frames else ""
        return f"{length}{format_bytes(finished.size)}"
    if preview is None:
        return "starting" if film.stage == "making" else ""
    parts = [f"frame {preview.frame + 1} of {preview.last}"]
    if film.stage == "making":
        if preview.rate is not None:
            parts.append(f"{preview.rate:.3g} frames/s")
        if preview.eta_s is not None:
            parts.append(f"{duration(preview.eta_s)} left")
    if preview.objective is not None:
        parts.append(f"objective {preview.objective:.4g}")
    if film.stage == "making" and preview.rss:
        parts.append(format_bytes(preview.rss))
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Formats a time: `4 s`, `1:05`, `2:03:04`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
