"""What all tests share: seeds, processes of their own, and how Hypothesis looks for examples."""

import os
import random
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

import clnd as mx
from clnd import passes
from clnd.engine import repeats
from clnd.opencl import counters

SEED = int(os.environ.get("CLND_TEST_SEED", "20170831"))

hypothesis.settings.register_profile("clnd", deadline=None, print_blob=True)
hypothesis.settings.register_profile("thorough", parent=hypothesis.settings.get_profile("clnd"), max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "clnd"))


def pytest_configure(config):
    config.addinivalue_line("markers", "no_zones: looks at buffers and transfers itself, so CLND_TEST_ZONES changes nothing for it")
    config.addinivalue_line("markers", "beyond_mxnet: what MXNet 1.9.1 does not do; all other behaviour tests pass on MXNet too")


@pytest.fixture(autouse=True)
def seeded():
    """Start each test from the same random numbers, and show the seed where the test fails."""
    print(f"CLND_TEST_SEED={SEED}")
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - code under test may use the global generator
    mx.random.seed(SEED)
    return SEED


@pytest.fixture(autouse=True)
def forgotten():
    """No call is known from another test, which may have had other constants."""
    passes._known.clear()
    repeats._known.clear()


@pytest.fixture(autouse=True)
def declared():
    """No kernel calls a built-in function that `clnd.opencl.builtins` does not know."""
    before = counters.undeclared
    yield
    assert counters.undeclared <= before


@pytest.fixture(autouse=True)
def zones(request):
    """With CLND_TEST_ZONES=1 no kernel writes beyond a buffer."""
    if os.environ.get("CLND_TEST_ZONES") != "1" or request.node.get_closest_marker("no_zones"):
        yield
        return
    from measures import zones_untouched  # which asks for devices

    with zones_untouched():
        yield


@pytest.fixture
def run():
    """Run Python code in a process of its own, in which these variables are set or, if None, are not."""

    def run(code, **variables):
        environment = {**os.environ, **variables}
        environment = {name: value for name, value in environment.items() if value is not None}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(mx.__file__).parents[1]), environment.get("PYTHONPATH", "")])
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture
def threads_take_turns_often():
    """Make Python change threads as often as it can, so that a race shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
