"""Values that films made one after the other have in common: each is computed once, as long as there is room."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

Value = TypeVar("Value")


class Memo:
    """Values by key, up to `max_bytes` of tensors and arrays; 0 keeps none.

    What is kept stays: a film that is made again from its start finds the values of its start. Values are not modified.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        self._free = max_bytes
        self._values: dict[Hashable, Any] = {}
        self._lock = Lock()  # optical flow is computed in a thread

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Returns the value of a key; `make` computes it when it is not kept."""
        with self._lock:
            if key in self._values:
                value: Value = self._values[key]
                return value
        value = make()
        size = _size(value)
        with self._lock:
            if size <= self._free and key not in self._values:
                self._free -= size
                self._values[key] = value
        return value


def _size(value: Any) -> int:
    """Bytes of the tensors and arrays in a value; of anything else, a few."""
    match value:
        case Tensor() | np.ndarray():
            return value.nbytes
        case Mapping():
            return sum(_size(item) for item in value.values())
        case tuple() | list():
            return sum(_size(item) for item in value)
    if is_dataclass(value):
        return sum(_size(getattr(value, field.name)) for field in fields(value))
    return 64
