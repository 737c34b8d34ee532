"""What the parts of the scene raise when a value is wrong, before anyone knows where in the file it stands."""

from __future__ import annotations

from collections.abc import Sequence

Loc = tuple[str | int, ...]
"""The way from one part of a scene to another: keys and list indices."""


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
