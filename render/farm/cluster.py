"""The connection to a Ray cluster, and its nodes. With `slot`, the one module that imports Ray."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from render.errors import MissingError
from render.farm.placement import AUTO, LOCAL
from render.system.device import available_cores

CLIENT = "ray://"
ANSWER_SECONDS = 5.0
"""In which a machine accepts a connection."""
SHORT = "/tmp"
"""The folder of a cluster of this job alone: the path of a socket in it has at most 107 bytes."""
OBJECT_STORE_BYTES = 80 * 2**20


@dataclass(frozen=True)
class Shape:
    """What a worker takes of a node: processors, GPUs, and bytes of memory."""

    cpus: float
    gpus: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cpus:g} processors, {self.gpus:g} GPUs and {self.memory / 1e9:.1f} GB of memory"

    def fits(self, resources: dict[str, float]) -> int:
        """Returns how many workers a node with these resources has room for."""
        parts = [
            int((resources.get(name, 0) + 1e-6) / needed)
            for name, needed in (("CPU", self.cpus), ("GPU", self.gpus), ("memory", self.memory))
            if needed
        ]
        return min(parts)


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: Ray's id, a name for messages, and its resources."""

    id: str
    name: str
    resources: dict[str, float]


class UnreachableError(MissingError):
    """The cluster does not answer now."""


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Connects this process to a cluster for the block.

    Raises UnreachableError, MissingError for a cluster of other versions.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    with contextlib.ExitStack() as stack:
        if address == LOCAL:
            folder = tempfile.mkdtemp(prefix="render-", dir=SHORT if Path(SHORT).is_dir() else None)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            quiet |= {"num_cpus": available_cores(), "include_dashboard": False, "_temp_dir": folder}
            quiet |= {"object_store_memory": OBJECT_STORE_BYTES, "_node_ip_address": "127.0.0.1"}
        elif address != AUTO:
            _require_answer(address)
        try:
            ray.init(address=address, **quiet)
        except Exception as error:  # Ray raises errors of many kinds
            raise _explained(error, address) from error
        stack.callback(ray.shutdown)
        yield


def nodes() -> list[Node]:
    """Returns the nodes that are alive."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    hosts = [node["NodeManagerHostname"] for node in alive]
    return [
        Node(
            id=node["NodeID"],
            name=host if hosts.count(host) == 1 else f"{host}/{node['NodeID'][:8]}",
            resources=node["Resources"],
        )
        for node, host in zip(alive, hosts, strict=True)
    ]


def _require_answer(address: str) -> None:
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreachableError(f"the cluster {address} cannot be reached: {reason}") from None


def _explained(error: Exception, address: str) -> MissingError:
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return MissingError(f"the cluster {address} has another version of Ray or Python: {text}")
    if address == AUTO:
        return UnreachableError(
            "this machine is part of no Ray cluster; --cluster ray://HOST:PORT names one, --cluster local makes one"
        )
    return UnreachableError(f"the cluster {address} cannot be used: {text}")
