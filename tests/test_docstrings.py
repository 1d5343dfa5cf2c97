"""The examples in docstrings run."""

import doctest
import importlib
from pathlib import Path

import pytest

import clnd

PACKAGE = Path(clnd.__file__).parent
SCRIPTS = {"clnd.cli.__main__", "clnd.examples.tutorial"}  # importing them runs them


def modules() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return [name for name in names if name not in SCRIPTS]


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    module = importlib.import_module(name)
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=said.append)
    assert not said, "".join(said)


def test_a_wrong_example_is_found():
    module = type(doctest)("wrong")
    module.__doc__ = ">>> 1 + 1\n3\n"
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder().find(module, "wrong"):
        runner.run(test, out=lambda text: None)
    assert runner.failures == 1
