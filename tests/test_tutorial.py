"""The autograd tutorial: as a script, typed at a prompt, and both of its branches."""

import ast
import code
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clnd
from clnd import nd

TUTORIAL = Path(clnd.__path__[0]) / "examples" / "tutorial.py"
SOURCE = TUTORIAL.read_text(encoding="utf-8")

# The code that the tutorial's text prints, in its order; its outputs follow.
LINES = """
x = nd.array([[1, 2], [3, 4]])
with autograd.record():
    y = x * 2
    z = y * x
with autograd.record():
    y = x * 2
    z = y * x
head_gradient = nd.array([[10, 1.], [.1, .01]])
a = nd.random_normal(shape=3)
with autograd.record():
    b = a * 2
    while (nd.norm(b) < 1000).asscalar():
        b = b * 2
    if (mx.nd.sum(b) > 0).asscalar():
        c = b
    else:
        c = 100 * b
head_gradient = nd.array([0.01, 1.0, .1])
"""
FIRST = "\n[[ 4.  8.]\n [12. 16.]]\n<NDArray 2x2 @cpu(0)>\n"
SECOND = "\n[[40.    8.  ]\n [ 1.2   0.16]]\n<NDArray 2x2 @cpu(0)>\n"
THIRD = "\n[  2048. 204800.  20480.]\n<NDArray 3 @cpu(0)>\n"


def typed(source: str) -> list[str]:
    """Give the lines that someone types for this source: a blank line ends a block, and stands nowhere else."""
    lines = [line for line in source[source.index("import clnd") :].splitlines() if line.strip() and not line.startswith("#")]
    result = []
    for before, line in zip(["", *lines], lines):
        if before.startswith(" ") and not line.startswith(" "):
            result.append("")
        result.append(line)
    return result


def python(*arguments: str, **options) -> str:
    """Run another Python and give what it prints."""
    finished = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **options)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_has_every_line_of_the_text_in_its_order():
    def statements(source):
        body = ast.parse(source).body
        return [ast.dump(statement) for statement in body if not isinstance(statement, ast.Import | ast.ImportFrom)]

    rest = iter(statements(SOURCE))
    missing = [statement for statement in statements(LINES) if statement not in rest]
    assert missing == []


def test_as_a_script():
    assert python("-m", "clnd.examples.tutorial") == FIRST + SECOND + THIRD


def test_typed_at_a_prompt():
    assert python("-q", "-i", input="\n".join([*typed(SOURCE), ""])) == FIRST + SECOND + THIRD


def test_typed_without_print(capsys):
    console = code.InteractiveConsole()
    for line in typed(SOURCE):
        line = line.partition("  #")[0]
        console.push(line.removeprefix("print(").removesuffix(")") if line.startswith("print(") else line)
    out, error = capsys.readouterr()
    assert error == ""
    assert out == FIRST + SECOND + THIRD


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        pytest.param([-0.25, 0.5, -0.5], 204800, id="the sum is negative: c = 100 * b, as in the text"),
        pytest.param([0.25, 0.5, 0.5], 2048, id="the sum is positive: c = b"),
        pytest.param([3000.0, -4000.0, 0.0], 200, id="the loop does not run"),
        pytest.param([1e-30, 0.0, 0.0], 2.0**110, id="the loop runs a hundred times"),
    ],
)
def test_branches_and_loops_on_values(values, factor, monkeypatch, capsys):
    monkeypatch.setattr(nd, "random_normal", lambda shape: nd.array(values))
    names = {}
    exec(compile(SOURCE, TUTORIAL, "exec"), names)
    expected = np.float32(factor) * np.float32([0.01, 1.0, 0.1])
    np.testing.assert_allclose(names["a"].grad.asnumpy(), expected, rtol=1e-6)
    assert capsys.readouterr().out.startswith(FIRST + SECOND)
