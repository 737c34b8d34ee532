"""The download of published weights into torch's cache."""

from __future__ import annotations

import contextlib
import io
import socket
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from urllib.error import URLError

import torch

from render.errors import MissingError, StorageError

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""


def download(url: str, file: Path, *, name: str, quiet: bool, alternative: str) -> Path:
    """Downloads the weights of a network to `file`, whose name holds the start of their SHA-256, and returns its path.

    A progress bar is on standard error unless `quiet`. `alternative` ends the error: what works without a download.
    Raises MissingError when they cannot be downloaded, StorageError when they cannot be stored.
    """
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    progress_bar = contextlib.redirect_stderr(io.StringIO()) if quiet else contextlib.nullcontext()
    try:
        with progress_bar:
            torch.hub.load_state_dict_from_url(
                url, str(file.parent), map_location="cpu", progress=not quiet, check_hash=True, weights_only=True
            )
    except (URLError, TimeoutError, ConnectionError, HTTPException, SSLError) as error:
        reason = getattr(error, "reason", None) or error
        raise MissingError(
            f"the weights of {name} are missing: {file.name} is not in {file.parent} and cannot be downloaded "
            f"from {url} ({reason}); {alternative}"
        ) from None
    except OSError as error:
        raise StorageError(f"cannot store the weights of {name} in {file.parent}: {error.strerror}") from None
    except RuntimeError as error:
        raise MissingError(f"the download of the weights of {name} is not the published file: {error}") from None
    finally:
        socket.setdefaulttimeout(timeout)
    return file
