"""A disk that takes no more: what was computed stays, what is kept is whole, and once there is room all goes on."""

import errno
import os

import pyopencl as cl
import pytest

import clnd as mx
from clnd.opencl import drivers, trial
from clnd.opencl.quirks import POCL

FULL = """
import resource, sys
from pathlib import Path
import numpy as np
import clnd as mx
from clnd import autograd, nd
from clnd.opencl import cache, drivers

saved = Path(sys.argv[1])
platform = mx.cpu().device.cl.platform.name
x, long = nd.array([1, 2, 3]) * 2, nd.array(np.ones(1000))
nd.save(saved, x)
assert cache.keep("programs", "a.bin", b"before")

most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, most[1]))  # no file may be longer: what PoCL's compiler ends the process for
drivers._roomy.clear()
refused = drivers.no_room(platform)
try:
    nd.tanh(x).wait_to_read()
    assert refused is None
except mx.MXNetError as error:
    assert str(error).startswith("tanh, called at <string>:"), error
    assert str(error).endswith(f"cannot be built: {refused}"), error
assert not cache.keep("programs", "a.bin", bytes(1000))
assert cache.why_not()
try:
    nd.save(saved, long)
    sys.exit("saved")
except OSError as error:
    assert str(saved) in str(error), error
resource.setrlimit(resource.RLIMIT_FSIZE, most)

assert x.asnumpy().tolist() == nd.load(saved)[0].asnumpy().tolist() == [2, 4, 6]
assert cache.read("programs", "a.bin") == b"before"
assert list(saved.parent.iterdir()) == [saved]
assert drivers.no_room(platform) is cache.why_not() is None
np.testing.assert_allclose(nd.tanh(x).asnumpy(), np.tanh([2, 4, 6]), rtol=1e-6)
cache.forget("programs", "a.bin")
print("POCL_CACHE_DIR" in str(refused))
"""


def test_a_disk_that_takes_no_more(run, tmp_path):
    """By a limit to the length of files, which whoever writes meets as a full disk."""
    pytest.importorskip("resource", reason="Windows has no such limits")
    done = run(FULL.replace("sys.argv[1]", repr(str(tmp_path / "x.params"))), MESA_SHADER_CACHE_DISABLE=None)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{mx.cpu().device.cl.platform.name == POCL}\n"


def test_no_room_for_a_trial_is_not_remembered(monkeypatch, tmp_path):
    """A device that could not be tried for want of room is tried as soon as there is some."""
    device, said = mx.cpu().device.cl, ["no room", None]
    monkeypatch.setenv("CLND_CACHE", str(tmp_path))
    monkeypatch.setattr(trial, "no_room", lambda platform: said.pop(0))
    monkeypatch.setattr(trial, "attempt", lambda device: None)
    assert [trial.reason_unusable(device) for _ in range(3)] == ["no room", None, None]


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="there is no other disk to go to")
def test_what_drivers_keep_goes_where_there_is_room(monkeypatch, tmp_path):
    """At the start of a process whose home is full, unless the user has chosen a folder."""
    tried = []

    def no_room_at_home(folder):
        tried.append(folder)
        if len(tried) < 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("POCL_CACHE_DIR", "MESA_SHADER_CACHE_DISABLE"):
        monkeypatch.setenv(name, "")  # so that it is as before after the test
        monkeypatch.delenv(name)
    monkeypatch.setattr(cl, "_PYOPENCL_NO_CACHE", False)
    monkeypatch.setattr(drivers, "_try_room", no_room_at_home)
    drivers.prepare()
    assert cl._PYOPENCL_NO_CACHE
    assert os.environ["MESA_SHADER_CACHE_DISABLE"] == "true"
    assert os.environ["POCL_CACHE_DIR"] == str(tried[2])
    assert tried[2].is_relative_to("/dev/shm"), "the first folder for temporary files is full, too"
    tried.clear()
    monkeypatch.setenv("POCL_CACHE_DIR", "mine")
    drivers.prepare()
    assert os.environ["POCL_CACHE_DIR"] == "mine"
