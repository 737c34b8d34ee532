"""What the parts of the scene raise when a value is wrong, before anyone knows where in the file it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Loc = tuple[str | int, ...]
"""The way from one part of a scene to another: keys and list indices."""
MOST = 100
"""Problems told at once; who has more has made one mistake many times."""
Given = TypeVar("Given")
Made = TypeVar("Made")


class Fault(ValueError):
    """A value is wrong: why, the way to the wrong part of it, and the offset of the wrong character there.

    `at_key` says that the key is wrong and not what it holds.
    """

    def __init__(self, message: str, path: Loc = (), offset: int = 0, at_key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset
        self.at_key = at_key

    def within(self, path: Loc) -> Fault:
        """The same fault, seen from further up."""
        return Fault(str(self), path + self.path, self.offset, self.at_key)


class Faults(ValueError):
    """Several values are wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def gathered(items: Iterable[tuple[Loc, Given]], make: Callable[[Given], Made]) -> dict[Loc, Made]:
    """What is made of every item, by the way to it. Raises Faults with the ways to all that is wrong, or to MOST."""
    made: dict[Loc, Made] = {}
    faults: list[Fault] = []
    for path, item in items:
        try:
            made[path] = make(item)
        except Fault as fault:
            faults.append(fault.within(path))
        except Faults as several:
            faults += [fault.within(path) for fault in several.faults]
        if len(faults) >= MOST:
            break
    if faults:
        raise Faults(faults[:MOST])
    return made
