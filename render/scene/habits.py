"""Values as other programs, or other languages, write them: what to write instead."""

from __future__ import annotations

import re

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_DECIMAL_COMMA = re.compile(r"([+-]?[0-9]*),([0-9]+)(\s*/\s*s)?")
_SCHEDULE = re.compile(r"\s*[0-9]+\s*:\s*\([^:]*\)\s*(,\s*[0-9]+\s*:\s*\([^:]*\)\s*)*,?\s*")
"""Deforum's keyframes, `0:(1.02), 60:(1.04)`; its expressions have the frame as `t`."""
_SCHEDULE_KEY = re.compile(r"([0-9]+)\s*:\s*\(([^:]*)\)")
_PER_CENT = re.compile(rf"({_NUMBER})\s*%")
_PARENTHESES = re.compile(rf"\(\s*({_NUMBER})\s*\)")
_UNIT = re.compile(rf"({_NUMBER})\s*(?:px|deg|°)")
MAX_LENGTH = 10_000


def remedy(text: str) -> str | None:
    """Returns how a scene writes a value: `1.03` for `1,03` and `{0: 1.02}` for `0:(1.02)`; None for other texts."""
    text = text.strip()
    if len(text) > MAX_LENGTH:
        return None
    if match := _DECIMAL_COMMA.fullmatch(text):
        number = f"{match[1]}.{match[2]}" if match[1].strip("+-") else f"{match[1]}0.{match[2]}"
        return f'"{number}/s"' if match[3] else number
    if _SCHEDULE.fullmatch(text):
        return _keyframes(_SCHEDULE_KEY.findall(text))
    if match := _PER_CENT.fullmatch(text):
        return f"{float(match[1]) / 100:g}"
    if match := _UNIT.fullmatch(text) or _PARENTHESES.fullmatch(text):
        return match[1]
    return None


def _keyframes(keys: list[tuple[str, str]]) -> str:
    """Returns keyframes; an expression that holds from the first frame on is a track by itself."""
    if len(keys) == 1 and not re.fullmatch(_NUMBER, keys[0][1].strip()):
        return re.sub(r"\bt\b", "frame", keys[0][1].strip())
    return "{" + ", ".join(f"{frame}: {value.strip()}" for frame, value in keys) + "}"
