"""The program as a process: how it is started, and standard streams that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from render.cli import network_commands
from render.film.assembly import is_intact
from tests.cli.program import PYTHON_M, SCRIPT, Call, run_process
from tests.production.processes import run_render


def test_the_script_and_the_module_are_the_same_program(folder: Path) -> None:
    by_script, by_module = (run_process("chek", program=program) for program in (SCRIPT, PYTHON_M))
    assert by_script == by_module
    assert by_script.status == 2
    assert by_script.err.startswith("render: 'chek' is neither a command nor a scene file; did you mean 'check'?")


def close_pipe() -> None:
    """Makes standard output a pipe whose reader has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    sys.stdout = os.fdopen(writer, "w")


def test_a_closed_pipe_ends_the_program_without_a_traceback(folder: Path) -> None:
    ended = run_render(folder, "s.yaml", "--json", preexec=close_pipe)
    assert (ended.status, ended.err) == (4, "")


@pytest.mark.parametrize(
    "command",
    ["schema", "classes", "layers efficientnet_lite0 --all --json", "check s.yaml", "--help", "chek 2>&1", "foo 2>&1"],
)
def test_a_reader_that_ends_early_leaves_no_message(command: str, folder: Path) -> None:
    program = " ".join(f"'{part}'" for part in PYTHON_M)
    script = f"(sleep 0.1; {program} {command.partition(' 2')[0]} {command[len(command.partition(' 2')[0]) :]}) | true"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
@pytest.mark.parametrize("arguments", [["schema"], ["--version"], []], ids=" ".join)
def test_a_full_disk_under_the_output_is_status_4(arguments: list[str], folder: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [*PYTHON_M, *arguments], stdout=full, stderr=subprocess.PIPE, env=environment, text=True, check=False
        )
    message = "render: cannot write to standard output: No space left on device\n"
    assert (process.returncode, process.stderr) == (4, message)


@pytest.mark.skipif(os.name != "posix", reason="file descriptors of a shell")
def test_a_film_is_rendered_without_standard_streams(folder: Path) -> None:
    """As a system service may start render."""
    command = " ".join(f"'{part}'" for part in (*PYTHON_M, "s.yaml"))
    subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], check=True, timeout=120)
    assert is_intact(folder / "s.mp4")


def test_too_little_memory_is_status_3_with_a_remedy(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*arguments: object) -> None:
        bytearray(2**62)

    monkeypatch.setattr(network_commands, "print_table", allocate)
    ended = call("classes")
    assert (ended.status, ended.err) == (3, "render: not enough memory; --scale 0.5 renders a smaller film\n")
