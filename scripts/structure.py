"""Limits on size: lines of a function and of a file, positional arguments of a call to one of this project's functions.

Parameters are counted by ruff (PLR0913), imports by import-linter; both are configured in pyproject.toml.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("render", "tests", "scripts")
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 350
MAX_POSITIONAL = 3

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Violation = tuple[int, str]
"""Line and message."""


@dataclass
class Definitions:
    """The project's callables. Those with `*args` are absent: they exist to take any number of arguments."""

    names: set[str] = field(default_factory=set)
    """Functions and classes at the top level of modules, as `render.media.image.load_image`."""
    methods: dict[str, int] = field(default_factory=dict)
    """From the name of a method of any class to the number of positional arguments that it takes at most."""


def main() -> None:
    """Prints every violation as `file:line: message`; exits with status 1 if there is one."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in files}
    definitions = find_definitions(trees)
    count = 0
    for path, tree in trees.items():
        calls = LongCalls(path, tree, definitions)
        for line, message in sorted([*oversized(path, tree), *calls.violations]):
            print(f"{path.relative_to(ROOT)}:{line}: {message}")
            count += 1
    if count:
        sys.exit(f"{count} violations of the limits in scripts/structure.py")


def oversized(path: Path, tree: ast.Module) -> Iterator[Violation]:
    """Yields the file and its functions that have too many lines, from signature to end."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MAX_FILE_LINES:
        yield 1, f"the file has {lines} lines, more than {MAX_FILE_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.lineno, f"function {node.name} has {lines} lines, more than {MAX_FUNCTION_LINES}"


def find_definitions(trees: dict[Path, ast.Module]) -> Definitions:
    """Collects the functions, classes and methods of the files."""
    definitions = Definitions()
    for path, tree in trees.items():
        module = module_name(path)
        definitions.names |= {f"{module}.{name}" for name in top_level(tree)}
        if path.name == "__init__.py":
            reexported = imported_names(tree).items()
            definitions.names |= {f"{module}.{name}" for name, full in reexported if full.startswith(f"{module}.")}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, FUNCTIONS) and is_fixed(item) and not item.name.startswith("__"):
                        most = max(len(item.args.args), definitions.methods.get(item.name, 0))
                        definitions.methods[item.name] = most
    return definitions


def module_name(path: Path) -> str:
    """Returns the dotted name of a file's module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def top_level(tree: ast.Module) -> Iterator[str]:
    """Yields the names of a file's functions and classes that take a fixed number of positional arguments."""
    for node in tree.body:
        if isinstance(node, FUNCTIONS) and is_fixed(node):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            constructors = [item for item in node.body if isinstance(item, FUNCTIONS) and item.name == "__init__"]
            if all(is_fixed(item) for item in constructors):
                yield node.name


def is_fixed(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function takes a fixed number of positional arguments."""
    return node.args.vararg is None


class LongCalls(ast.NodeVisitor):
    """The calls in a file with too many positional arguments to a function, class or method of the project.

    A `partial` counts as a call. A parameter of an enclosing function, such as a fixture, is not resolved.
    """

    def __init__(self, path: Path, tree: ast.Module, definitions: Definitions) -> None:
        self.violations: list[Violation] = []
        self._definitions = definitions
        self._names = imported_names(tree) | {name: f"{module_name(path)}.{name}" for name in top_level(tree)}
        self._parameters: list[set[str]] = []
        self.visit(tree)

    def visit(self, node: ast.AST) -> None:
        """Visits a node and its descendants."""
        if isinstance(node, ast.Call):
            self._check(node)
        if isinstance(node, FUNCTIONS):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            self._parameters.append({argument.arg for argument in arguments})
        self.generic_visit(node)
        if isinstance(node, FUNCTIONS):
            self._parameters.pop()

    def _check(self, node: ast.Call) -> None:
        called, count = node.func, len(node.args)
        if ast.unparse(called) in ("partial", "functools.partial") and node.args:
            called, count = node.args[0], count - 1
        if count > MAX_POSITIONAL and self._is_own(called, count):
            message = f"call of {ast.unparse(called)} with {count} positional arguments, more than {MAX_POSITIONAL}"
            self.violations.append((node.lineno, message))

    def _is_own(self, called: ast.expr, count: int) -> bool:
        head, *attributes = ast.unparse(called).split(".")
        is_parameter = any(head in names for names in self._parameters)
        if head in self._names and not is_parameter:
            return ".".join([self._names[head], *attributes]) in self._definitions.names
        return bool(attributes) and self._definitions.methods.get(attributes[-1], 0) >= count


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Maps the names that a file imports to their full names, as `clips` to `tests.media.clips`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
        elif isinstance(node, ast.Import):
            for item in node.names:
                top = item.name.partition(".")[0]
                names[item.asname or top] = item.name if item.asname else top
    return names


if __name__ == "__main__":
    main()
