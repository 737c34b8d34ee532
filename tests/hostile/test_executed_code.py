"""Nothing in the project starts a shell, or executes data that it has read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("render", "scripts") for path in (ROOT / folder).rglob("*.py")]
EXECUTING = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "pickle.load",
    "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load",
    "torch.hub.load", "torch.jit.load",
}  # fmt: skip


def violations(source: str) -> Iterator[str]:
    """Yields every call that starts a shell or may execute data."""
    tree = ast.parse(source)
    names = dict(imported_names(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, dot, rest = ast.unparse(node.func).partition(".")
        called = names.get(head, head) + dot + rest
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if (
            called in EXECUTING
            or "shell" in options
            or (called == "torch.load" and options.get("weights_only") != "True")
            or (called == "numpy.load" and options.get("allow_pickle", "False") != "False")
        ):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yields each imported name with its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_file_starts_a_shell_or_executes_data(path: Path) -> None:
    assert not list(violations(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.system('ls')",
        "import yaml as pyyaml\npyyaml.load('a: 1')",
        "from pickle import loads\nloads(b'')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import torch\ntorch.load('w.pth')",
        "import torch\ntorch.load('w.pth', weights_only=False)",
        "import numpy as np\nnp.load('a.npy', allow_pickle=True)",
        "eval('1')",
    ],
)
def test_the_search_finds_such_calls_under_any_name(source: str) -> None:
    assert len(list(violations(source))) == 1


def test_the_search_accepts_harmless_calls() -> None:
    source = "import torch, numpy as np\ntorch.load('w.pth', weights_only=True)\nnp.load('a.npy')\nre.compile('a')"
    assert not list(violations(source))
