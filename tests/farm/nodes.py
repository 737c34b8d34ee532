"""A Ray cluster of several nodes on this machine, in a process of its own, which obeys lines of JSON: see `Nodes`.

Ray warns, and its nodes end with the process that made them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import psutil

REPOSITORY = Path(__file__).parents[2]
STORE_BYTES = 80 * 2**20
MEMORY = 16 * 2**30
"""Bytes of memory that each node claims to have."""


class Nodes:
    """A cluster whose head has the resources of the first node. Nodes are numbered from 0, the head."""

    def __init__(self, *nodes: dict[str, float], has_client_server: bool = False) -> None:
        """Each node has `CPU` and `GPU` as named."""
        self.folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # the path of a socket in it must be short
        (Path(self.folder) / "ray").mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.farm.nodes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_TMPDIR": self.folder,
            },
        )
        self.address = self.client_address = ""
        try:
            head = self._ask("head", has_client_server=has_client_server, **nodes[0])
            self.address, self.client_address = head["address"], head["client"]
            self.raylets: list[int] = [head["raylet"]]
            for node in nodes[1:]:
                self.add(**node)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def workers(self, node: int | None = None) -> list[psutil.Process]:
        """The processes that render, on all nodes or on one of a number."""
        pid = self._process.pid if node is None else self.raylets[node]
        with contextlib.suppress(psutil.Error):
            return [each for each in psutil.Process(pid).children(recursive=True) if _is_worker(each)]
        return []

    def add(self, **resources: float) -> int:
        """Adds a node; returns its number."""
        self.raylets.append(self._ask("add", **resources)["raylet"])
        return len(self.raylets) - 1

    def remove(self, number: int) -> None:
        """Removes a node, at once and with all of its processes."""
        self._ask("remove", number=number)

    def kill(self, number: int) -> None:
        """Kills a node as a power cut does, with all of its processes, none of which can report anything."""
        raylet = psutil.Process(self.raylets[number])
        for process in [raylet, *raylet.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def restart_head(self, **resources: float) -> None:
        """Ends all nodes, and starts a head at the same address."""
        self.raylets = [self._ask("restart", **resources)["raylet"]]

    def close(self) -> None:
        """Ends the cluster."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=30)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        subprocess.run(["rm", "-rf", self.folder], check=False)

    def _ask(self, command: str, **values: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **values}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("render.jobs.worker" in argument for argument in process.cmdline())
    except psutil.Error:
        return False


def main() -> None:
    """Obeys lines of standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from ray.cluster_utils import Cluster  # noqa: PLC0415  # Nodes are made without Ray

    cluster = Cluster()
    numbered: list[Any] = []
    port = 0
    for line in sys.stdin:
        request = json.loads(line)
        match request["command"]:
            case "head":
                client = _free_port() if request["has_client_server"] else None
                numbered = [_add(cluster, request, ray_client_server_port=client)]
                port = int(cluster.address.rpartition(":")[2])
            case "add":
                numbered.append(_add(cluster, request))
            case "remove":
                cluster.remove_node(numbered[request["number"]], allow_graceful=False)
            case "restart":
                for node in [*cluster.worker_nodes, cluster.head_node]:
                    cluster.remove_node(node, allow_graceful=False)
                numbered = [_add(cluster, request, gcs_server_port=port)]
        answer: dict[str, Any] = {"address": cluster.address, "client": ""}
        if request["command"] != "remove":
            answer["raylet"] = _raylet(numbered[-1])
        if request["command"] == "head" and client:
            answer["client"] = f"ray://127.0.0.1:{client}"
        print(json.dumps(answer), file=answers, flush=True)
    cluster.shutdown()
    os._exit(0)


def _add(cluster: Any, request: dict[str, float], **more: Any) -> Any:
    return cluster.add_node(
        num_cpus=request.get("CPU", 0),
        num_gpus=request.get("GPU", 0),
        memory=MEMORY,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        **more,
    )


def _raylet(node: Any) -> int:
    (information,) = node.all_processes["raylet"]
    return int(information.process.pid)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
