"""What README.md and CONTRIBUTING.md show is what happens."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clnd

CHECKOUT = Path(__file__).resolve().parent.parent
README = CHECKOUT / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="there is no checkout")


def session(text: str) -> str:
    """The examples at a prompt as one doctest. An empty line that is printed is there an empty line, too."""
    lines: list[str] = []
    for block in re.findall(r"^```pycon\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        typed = block.splitlines()
        for line, after in zip(typed, [*typed[1:], ">>>"], strict=True):
            lines.append("<BLANKLINE>" if not line and not after.startswith(">>>") else line)
        lines.append("")
    return "\n".join(lines)


def failures(text: str) -> list[str]:
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(session(text), {}, README.name, str(README), 0)
    assert test.examples
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    return said


def test_the_examples_at_the_prompt():
    assert failures(README.read_text(encoding="utf-8")) == []


def test_a_wrong_example_is_found():
    right = "```pycon\n>>> print('\\n1')\n\n1\n```\n"
    assert failures(right) == []
    assert failures(right.replace("\n1\n`", "\n2\n`"))


def test_the_test_command_is_what_ci_runs():
    assert "pip install '.[cpu,test]' && pytest\n" in README.read_text(encoding="utf-8")
    script = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip\" install --quiet '.[cpu,test]'" in script
    assert '/env/bin/pytest"' in script


def test_the_operator_to_add():
    """The declaration is all: function, kernel and gradient follow. In a process of its own, since an operator stays declared."""
    (declaration,) = re.findall(
        r"^```python\n(.*?)^```", (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    code = f"""
import doctest
import numpy as np
from clnd import ops
exec({declaration!r}, vars(ops.mathematics))  # as if the file ended with it
import clnd
from clnd import autograd, nd
from clnd.nd.wrapping import wrap
operator = ops.registry["gaussian"]
nd.gaussian = wrap(operator, "gaussian")
test = doctest.DocTestParser().get_doctest(operator.__doc__, {{}}, "gaussian", None, 0)
assert test.examples and not doctest.DocTestRunner().run(test).failed
x = nd.array([0.5, -1.0], dtype="float32")
x.attach_grad()
with autograd.record():
    y = nd.gaussian(x)
y.backward()
np.testing.assert_allclose(x.grad.asnumpy(), -2 * x.asnumpy() * operator.numpy(x.asnumpy()), rtol=1e-6)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(clnd.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
