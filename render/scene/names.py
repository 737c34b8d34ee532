"""The names in a scene's expressions: of signals and beats, and whether they mean something."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from render.scene.clock import NO_TEMPO
from render.scene.expressions import BEAT_NAMES, LOOP_BEATS, LOOP_SECONDS, Expression, is_known, unknown_name
from render.scene.field_errors import FieldError, FieldErrors
from render.scene.fields import Section
from render.scene.signals import SignalSpec
from render.text import quote

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def check_names(scene: Section, signals: Mapping[str, SignalSpec], *, written: Collection[str]) -> None:
    """Checks the names of signals, and those in all expressions. Raises FieldErrors.

    `written` are the names of all signals that are written: one with errors, which `signals` lacks, is known.
    """
    known = {*signals, *written}
    errors = []
    for name in signals:
        try:
            _check_name(name)
        except FieldError as error:
            errors.append(error.within(("signals", name)))
    for path, track in scene.tracks():
        if isinstance(track.shape, Expression):
            unknown = (each for each in track.shape.references if each[0].isidentifier() and not is_known(each[0]))
            errors += [
                FieldError(unknown_name(name, known), path, offset=offset)
                for name, offset in unknown
                if name not in known
            ]
    try:
        in_order(signals)
    except FieldError as error:
        errors.append(error.within(("signals",)))
    if errors:
        raise FieldErrors(errors)


def check_tempo(scene: Section) -> None:
    """Checks that no time and no expression of a scene without a tempo needs one. Raises FieldErrors."""
    errors = [
        FieldError(f"{time} {NO_TEMPO}", path, at_key=is_key)
        for path, time, is_key in scene.times()
        if time.needs_beats
    ]
    for path, track in scene.tracks():
        if isinstance(track.shape, Expression):
            errors += [
                FieldError(f"{'a period in beats' if name == LOOP_BEATS else name} {NO_TEMPO}", path, offset=offset)
                for name, offset in track.shape.references
                if name in BEAT_NAMES or name == LOOP_BEATS or not (name.isidentifier() or name == LOOP_SECONDS)
            ]
    if errors:
        raise FieldErrors(errors)


def _check_name(name: str) -> None:
    """Raises FieldError for a name that no signal can have."""
    if is_known(name):
        raise FieldError(f"'{name}' already means something in expressions; a signal needs another name", at_key=True)
    if keyword.iskeyword(name):
        raise FieldError(
            f"'{name}' is a word of Python, which expressions are written in; name it otherwise", at_key=True
        )
    if not _NAME.fullmatch(name):
        raise FieldError(f"{quote(name)} is not a name: letters, digits and _, not beginning with a digit", at_key=True)


def in_order(signals: Mapping[str, SignalSpec]) -> Sequence[str]:
    """Returns the names of signals so that each comes after those that its expression refers to.

    Raises FieldError, with the path from `signals` on, for one that depends on itself.
    """
    ordered: dict[str, None] = {}

    def visit(name: str, users: tuple[tuple[str, int], ...]) -> None:
        names = [user for user, _ in users]
        if name in names:
            first = names.index(name)
            chain = " -> ".join([*names[first:], name])
            raise FieldError(f"'{name}' depends on itself: {chain}", (names[-1], "value"), offset=users[-1][1])
        if name in ordered:
            return
        for other, offset in _known(signals[name].references, signals):
            visit(other, (*users, (name, offset)))
        ordered[name] = None

    for name in signals:
        visit(name, ())
    return tuple(ordered)


def _known(references: Sequence[tuple[str, int]], signals: Mapping[str, SignalSpec]) -> Iterator[tuple[str, int]]:
    return ((name, offset) for name, offset in references if name in signals)
