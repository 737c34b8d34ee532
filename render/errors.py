"""The errors that render raises, as a tree.

* RenderError          the root; has the exit status
  ├── SceneError       2  the scene is wrong: one or more problems, each with its position
  ├── UsageError       2  the command line, or an argument of the API, is wrong
  ├── MissingError     3  the machine lacks something: a codec, a device, a package
  ├── StorageError     4  reading or writing failed
  │   ├── SceneFileError  files that a scene names, each with its position
  │   └── DiskFullError
  └── Interrupted    130  the user stopped the run; completed segments are kept
"""

from __future__ import annotations

from collections.abc import Sequence

from render.text import Problem


class RenderError(Exception):
    """Root of all errors that render raises on purpose; the message says what the user can do."""

    status = 1


class UsageError(RenderError):
    """The command line, or an argument of the API, is wrong."""

    status = 2


class MissingError(RenderError):
    """The machine lacks something that the scene needs; the message says how to get it."""

    status = 3


class StorageError(RenderError):
    """A file could not be read or written."""

    status = 4


class DiskFullError(StorageError):
    """The disk to be written to is full."""


class SceneFileError(StorageError):
    """Files that a scene names are missing or unusable. `problems` holds all problems, each where the file is named."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class Interrupted(RenderError):
    """The user stopped the run; the message says how to resume it."""

    status = 130


class SceneError(RenderError):
    """The scene is wrong. `problems` holds all problems, in the order of the file."""

    status = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))
