"""The examples in docstrings run."""

import doctest
import importlib
from pathlib import Path

import pytest

import clnd
from clnd import engine, nd
from clnd.engine import state
from clnd.ops import registry

PACKAGE = Path(clnd.__file__).parent
SCRIPTS = {"clnd.__main__", "clnd.examples.tutorial"}  # importing them runs them

LAZY = {"clnd.capture", "clnd.profiler"}  # their examples show what CLND_EAGER=1 turns off


def modules() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return [name for name in names if name not in SCRIPTS]


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    module = importlib.import_module(name)
    generated = {op.__doc__ for op in registry.values()} if name == "clnd.nd" else set()  # these run where they are declared
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    with engine.eager(state.eager and name not in LAZY):
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
            if test.docstring not in generated:
                runner.run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", sorted({op.name for op in registry.values()} & set(nd.__all__)))
def test_operators_have_examples(name):
    assert ">>> " in (getattr(nd, name).__doc__ or ""), f"nd.{name} shows no example"


def test_operators_are_looked_into():
    """An operator is no function, and doctest looks into functions: this breaks when it does not find them."""
    found = {test.name for test in doctest.DocTestFinder().find(importlib.import_module("clnd.ops.arithmetic")) if test.examples}
    assert "clnd.ops.arithmetic.multiply" in found


def test_a_wrong_example_is_found():
    module = type(doctest)("wrong")
    module.__doc__ = ">>> 1 + 1\n3\n"
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder().find(module, "wrong"):
        runner.run(test, out=lambda text: None)
    assert runner.failures == 1
