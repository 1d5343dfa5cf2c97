"""Imports go one way through the house, and `import clnd` brings in nothing that it does not need."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clnd

PACKAGE = Path(clnd.__file__).parent

# A module may import from its own floor and from the floors below.
FLOORS = (
    ("errors", "console"),
    ("opencl",),
    ("engine",),
    ("ops",),
    (
        "context",
        "indexing",
        "ndarray",
        "autograd",
        "operator",
        "random",
        "nd",
        "passes",
        "capture",
        "account",
        "limits",
        "profiler",
    ),
    ("",),  # the face: clnd/__init__.py
    ("cli", "examples", "__main__"),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}

# What is not Python's own, and who may import it.
OTHERS = {
    "mako": ("opencl",),
    "matplotlib": ("examples",),
    "numpy": tuple(FLOOR),
    "platformdirs": ("opencl",),
    "pyopencl": ("opencl",),
    "rich": ("cli", "console", "examples", "profiler"),
    "sklearn": ("examples",),
    "typer": ("cli", "examples"),
}


def part_of(module: str) -> str:
    """The part of the house that a module belongs to: `clnd.ops.math` is in `ops`, `clnd` itself is the face."""
    return [*module.split("."), ""][1]


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(source: str, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Line and full name of each module that this source imports, at whatever depth, for type checking too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                origin = ".".join([*package, origin] if origin else package)
            for alias in node.names:
                submodule = f"{origin}.{alias.name}"
                yield node.lineno, submodule if origin.split(".")[0] == "clnd" and is_module(submodule) else origin


def wrong_arrows(source: str, module: str, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of this source, a sentence each."""
    part = part_of(module)
    if part not in FLOOR:
        return [f"{module} has no floor: give {part!r} one in FLOORS"]
    wrong = []
    for line, target in imports(source, module, is_package):
        top = target.split(".")[0]
        if top == "clnd":
            if FLOOR.get(part_of(target), len(FLOORS)) > FLOOR[part]:
                wrong.append(f"{module}, line {line}: imports {target}, which is above it")
        elif top not in sys.stdlib_module_names and part not in OTHERS.get(top, ()):
            wrong.append(f"{module}, line {line}: imports {top}, which is not for it")
    return wrong


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@pytest.mark.parametrize(("module", "path"), list(modules()))
def test_imports_go_down(module, path):
    assert not wrong_arrows(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("clnd.engine.value", "from clnd.ops import math"),
        ("clnd.engine.value", "from clnd import nd"),
        ("clnd.engine.value", "import clnd"),
        ("clnd.engine.value", "def f():\n    from ..ndarray import NDArray"),
        ("clnd.engine.value", "import pyopencl as cl"),
        ("clnd.opencl.program", "from clnd.engine import record"),
        ("clnd.opencl.program", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from clnd.context import Context"),
        ("clnd.nd", "import pyopencl.array"),
        ("clnd.nd", "from mako.template import Template"),
        ("clnd.ops.math", "import torch"),
        ("clnd.ops.math", "import mxnet as mx"),
        ("clnd.context", "import rich.console"),
        ("clnd", "from clnd.cli import main"),
        ("clnd.errors", "from clnd.opencl import Device"),
        ("clnd.newcomer", "import math"),
    ],
)
def test_a_wrong_arrow_is_found(module, source):
    assert len(wrong_arrows(source, module, module == "clnd.nd")) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "clnd.opencl.program",
            "import pyopencl as cl\nfrom mako.template import Template\nfrom . import memory\nfrom ..errors import MXNetError",
        ),
        ("clnd.nd", "import numpy as np\nfrom clnd.ops import *\nfrom . import random"),
        ("clnd.cli", "import typer\nfrom rich.table import Table\nimport clnd\nfrom clnd import nd, opencl"),
        ("clnd.examples.digits", "import clnd as mx\nfrom sklearn.datasets import load_digits"),
        ("clnd", "from clnd import autograd, nd\nfrom clnd.context import Context"),
    ],
)
def test_a_right_arrow_is_left_alone(module, source):
    assert wrong_arrows(source, module, module == "clnd.nd") == []


POSIX = {
    "fcntl": "",
    "grp": "",
    "pwd": "",
    "resource": "",
    "termios": "",
    "os": "fork getuid geteuid getgid sysconf register_at_fork sched_getaffinity fchmod chown setsid killpg statvfs O_NOFOLLOW O_DIRECTORY",
    "signal": "SIGKILL SIGALRM SIGUSR1 alarm setitimer pthread_kill",
}


def unguarded(source: str) -> list[str]:
    """What only POSIX has and no `if` or `try` around it, or before it in its function, asks for."""
    found = []

    def look(node: ast.AST, guarded: bool) -> None:
        if isinstance(node, (ast.FunctionDef, ast.Module)):
            guarded = guarded or any(isinstance(part, (ast.If, ast.Try, ast.IfExp)) and asks(part) for part in own(node))
        used = []
        if isinstance(node, ast.Import):
            used = [alias.name for alias in node.names if POSIX.get(alias.name) == ""]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in POSIX.get(node.value.id, "").split():
            used = [f"{node.value.id}.{node.attr}"]
        found.extend(f"line {node.lineno}: {name}" for name in used if not guarded)
        for child in ast.iter_child_nodes(node):
            look(child, guarded)

    look(ast.parse(source), False)
    return found


def own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes within, but for those of functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from own(child)


def asks(node: ast.AST) -> bool:
    """Does it find out what the system has?"""
    if isinstance(node, ast.Try):
        caught = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
        return "AttributeError" in caught or "ImportError" in caught
    assert isinstance(node, (ast.If, ast.IfExp))
    return any(word in ast.unparse(node.test) for word in ("os.name", "sys.platform", "hasattr(os", "hasattr(signal"))


def test_what_only_posix_has_is_asked_for_first():
    found = {module: unguarded(path.read_text(encoding="utf-8")) for module, path in modules()}
    assert {module: lines for module, lines in found.items() if lines} == {}


def test_what_only_posix_has_is_found():
    assert unguarded("import os, fcntl\ndef f():\n    return os.getuid()") == ["line 1: fcntl", "line 3: os.getuid"]
    assert (
        unguarded(
            "import os\ndef f():\n    if os.name != 'nt':\n        import fcntl\n    try:\n        os.fork()\n    except OSError: pass"
        )
        == []
    )
    assert unguarded("import os\ndef f():\n    try:\n        return os.sysconf('x')\n    except (AttributeError, OSError): pass") == []
    assert unguarded("import os\nif hasattr(os, 'fork'):\n    os.register_at_fork()") == []


def test_import_clnd_is_light():
    heavy = ("click", "mako", "matplotlib", "pyopencl", "rich", "sklearn", "typer")
    code = f"import sys, clnd; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
