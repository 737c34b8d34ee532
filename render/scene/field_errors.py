"""The errors that parts of the scene raise for a wrong value, before its position in the file is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Loc = tuple[str | int, ...]
"""The path from one part of a scene to another: keys and list indices."""
MAX_PROBLEMS = 100
"""Problems reported at once; a scene with more repeats one mistake many times."""
Item = TypeVar("Item")
Parsed = TypeVar("Parsed")


class FieldError(ValueError):
    """A value is wrong: the reason, the path to the wrong part of it, and the offset of the wrong character in it.

    `at_key` says that the key is wrong and not its value.
    """

    def __init__(self, message: str, path: Loc = (), *, offset: int = 0, at_key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset
        self.at_key = at_key

    def within(self, path: Loc) -> FieldError:
        """Returns the same error with its path relative to a section further up."""
        return FieldError(str(self), path + self.path, offset=self.offset, at_key=self.at_key)


class FieldErrors(ValueError):
    """Several values are wrong."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = tuple(errors)


def collect(items: Iterable[tuple[Loc, Item]], parse: Callable[[Item], Parsed]) -> dict[Loc, Parsed]:
    """Parses every item and returns the results by path. Raises FieldErrors with all errors, or MAX_PROBLEMS."""
    results: dict[Loc, Parsed] = {}
    errors: list[FieldError] = []
    for path, item in items:
        try:
            results[path] = parse(item)
        except FieldError as error:
            errors.append(error.within(path))
        except FieldErrors as several:
            errors += [error.within(path) for error in several.errors]
        if len(errors) >= MAX_PROBLEMS:
            break
    if errors:
        raise FieldErrors(errors[:MAX_PROBLEMS])
    return results
