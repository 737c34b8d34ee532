"""Ctrl-C, SIGTERM and a closed terminal: a render ends after the current frame, everything else at once."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from render.errors import Interrupted

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
STOPPED = "stopped; the same command resumes"


def stop_at_once() -> None:
    """Makes Ctrl-C, SIGTERM and SIGHUP end the process at once, with a message and status 130.

    An exception could be swallowed by an import in progress.
    """
    _handle(_stop)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Makes the first such signal in the block a KeyboardInterrupt, so that it cleans up; a second ends at once.

    Python drops an exception in a callback of C code and in a destructor, and with it an interruption: the function
    that the block gets raises it again, and is called from time to time.

    After the block a signal ends the process without a message: that of the block's own error is printed, or the
    result. Raises Interrupted when the KeyboardInterrupt leaves the block.
    """
    received: list[int] = []

    def interrupt(number: int, frame: object) -> NoReturn:
        received.append(number)
        _handle(_exit)
        _replace_closed_terminal()
        raise KeyboardInterrupt

    def raise_again() -> None:
        if received:
            raise KeyboardInterrupt

    _handle(interrupt)
    try:
        yield raise_again
    except KeyboardInterrupt:
        raise Interrupted(STOPPED) from None
    finally:
        _handle(_exit)


def _stop(number: int, frame: object) -> NoReturn:
    _replace_closed_terminal()
    os.write(2, f"render: {STOPPED}\n".encode())
    _exit(number, frame)


def _exit(number: int, frame: object) -> NoReturn:
    os._exit(Interrupted.status)


def _replace_closed_terminal() -> None:
    """Lets the standard streams of a closed terminal, on which every write fails, write to nothing."""
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _handle(handler: Callable[[int, Any], object]) -> None:
    for number in SIGNALS:
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, handler)
