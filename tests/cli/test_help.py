"""Help, version and shell completion: what they print, and that they are immediate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import render
from render.cli.main import COMMANDS
from tests.cli.program import SCRIPT, Call, run_process

NAMES = [function.__name__ for functions in COMMANDS.values() for function in functions]
HEAVY = ("cv2", "numpy", "pydantic", "rich", "torch")


def test_the_version_is_printed(call: Call) -> None:
    assert call("--version").out == f"render {render.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_help_lists_every_command_on_one_line_under_its_heading(arguments: list[str], call: Call) -> None:
    ended = call(*arguments)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    headings = [*COMMANDS, "Options", "Example"]
    assert [line.removesuffix(":") for line in lines if re.fullmatch(r"\w+:", line)] == headings
    listed = lines[: lines.index("Options:")]
    assert [line.split()[0] for line in listed if line.startswith("  ") and not line.startswith("   ")] == NAMES
    assert not [line for line in listed if line.startswith("     ") and "render COMMAND" not in line]


@pytest.mark.parametrize("name", ["", *NAMES])
def test_a_help_has_usage_options_and_an_example_within_80_columns(name: str, call: Call) -> None:
    ended = call(*name.split(), "--help")
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    assert len(lines[0]) > 20
    assert lines[1] == ""
    assert lines[2].startswith(f"Usage: {' '.join(['render', name]).strip()} [OPTIONS]")
    assert lines[lines.index("Example:") + 1].startswith(f"  render {name}".rstrip())


def test_the_help_of_a_command_groups_its_options(call: Call) -> None:
    lines = call("film", "--help").out.splitlines()
    headings = [line for line in lines if line.endswith("options:")]
    assert headings == ["Scene options:", "Output options:", "Device options:", "Worker options:"]
    output = lines[lines.index("Output options:") + 1 : lines.index("Device options:") - 1]
    assert [line.split()[0] for line in output] == ["-o,", "--overwrite", "--repeat", "--restart"]


def test_an_option_before_the_help_belongs_to_the_default_command(call: Call) -> None:
    assert call("--json", "--help").out == call("film", "--help").out


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], []),
        (["--version"], []),
        (["chek"], []),
        (["film", "--help"], ["pydantic"]),  # typer's own
        (["schema"], ["pydantic", "numpy"]),
        (["upgrade", "s.yaml"], ["pydantic"]),
        (["new", "zoom", "zoom.yaml"], ["pydantic"]),
    ],
    ids=" ".join,
)
def test_what_renders_nothing_imports_no_engine(arguments: list[str], allowed: list[str], folder: Path) -> None:
    program = f"""
import sys
from render.cli.main import main
sys.argv[1:] = {arguments!r}
try:
    main()
finally:
    print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.stdout or process.returncode == 2
    assert set(process.stderr.splitlines()[-1].split()) <= set(allowed)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_completion_script_is_that_of_the_current_shell(folder: Path) -> None:
    process = subprocess.run(
        ["bash", "-c", f"'{SCRIPT[0]}' --show-completion; true"], capture_output=True, text=True, check=False
    )
    assert "complete -o default -F _render_completion render" in process.stdout


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("render la", ["layers"]),
        ("render film --ov", ["--overwrite"]),
        ("render s.yaml --re", ["--repeat", "--restart"]),
        ("render s.yaml --device c", ["cpu", "cuda"]),
    ],
)
def test_bash_completes_commands_options_and_values(line: str, completions: list[str], folder: Path) -> None:
    request = {
        "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_RENDER_COMPLETE": "complete_bash"
    }  # fmt: skip
    assert run_process(program=SCRIPT, env=os.environ | request).out.split() == completions
