"""What the tests of clnd.opencl share: devices, templates of their own, and a cache of their own."""

import pytest

import clnd.opencl
from clnd.opencl import source
from clnd.opencl.device import Device

SCALE = """
kernel void ${name}(global const float* a, global float* b, int n, float factor)
{
    for (int i = get_global_id(0); i < n; i += get_global_size(0))
        b[i] = a[i] * factor + ${addend};
}
"""
SCALE_ARGUMENTS = ("buffer", "buffer", "int", "float")


def again(device):
    """The same OpenCL device, opened afresh as a second process would."""
    return Device(device.cl, device.name, device.kind, device.index)


@pytest.fixture(params=[*clnd.opencl.cpu_devices(), *clnd.opencl.gpu_devices()], ids=str)
def device(request):
    """Each usable device, with nothing allocated and nothing built."""
    return again(request.param)


@pytest.fixture
def reopen():
    return again


@pytest.fixture
def templates(tmp_path, monkeypatch):
    """A folder of templates of the test's own, with one that scales an array."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "scale.cl.mako").write_text(SCALE)
    monkeypatch.setattr(source, "template_folder", lambda: folder)
    source._texts.cache_clear()
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CLND_CACHE", str(folder))
    return folder


@pytest.fixture
def scale(device, templates, cache):
    """A kernel: b = a * factor + 1."""
    return device.kernel("scale", "scale", arguments=SCALE_ARGUMENTS, addend="1.0f")
