import os
import sys
import threading
from pathlib import Path

import pytest

from clnd.opencl import drivers


@pytest.fixture
def pip(tmp_path, monkeypatch, cache):
    """An environment in which pip put Intel's runtime, and a user who has set none of the loader's variables."""
    for name in drivers.USER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    library = tmp_path / "prefix" / "lib" / "libintelocl.so"
    library.parent.mkdir(parents=True)
    library.touch()
    monkeypatch.setattr(drivers, "pypi_runtimes", lambda: [library])
    monkeypatch.setattr(drivers, "system_icds", lambda: {"pocl.icd": "libpocl.so.2"})
    return library


def listed():
    """What the loader would read."""
    return sorted(file.read_text() for file in Path(os.environ["OCL_ICD_VENDORS"]).iterdir())


on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has another loader")


@on_posix
def test_pypis_driver_stands_beside_the_systems(pip, cache):
    drivers.make_visible()
    assert listed() == sorted([f"{pip}\n", "libpocl.so.2\n"])
    assert Path(os.environ["OCL_ICD_VENDORS"]).is_relative_to(cache)


@on_posix
def test_a_driver_that_the_system_lists_is_not_listed_again(pip, monkeypatch):
    monkeypatch.setattr(drivers, "system_icds", lambda: {"intel.icd": str(pip)})
    drivers.make_visible()
    assert listed() == [f"{pip}\n"]


@pytest.mark.parametrize("variable", drivers.USER_VARIABLES)
@pytest.mark.parametrize("value", ["/my/drivers", ""])
def test_what_the_user_has_set_stays(pip, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    before = dict(os.environ)
    drivers.make_visible()
    assert dict(os.environ) == before


@on_posix
def test_what_a_parent_process_has_set_is_set_anew(pip, monkeypatch):
    drivers.make_visible()
    inherited = os.environ["OCL_ICD_VENDORS"]
    monkeypatch.setattr(drivers, "system_icds", dict)
    drivers.make_visible()
    assert os.environ["OCL_ICD_VENDORS"] != inherited
    assert listed() == [f"{pip}\n"]


def test_without_a_driver_from_pypi_nothing_is_set(pip, monkeypatch):
    monkeypatch.setattr(drivers, "pypi_runtimes", list)
    drivers.make_visible()
    assert not any(name in os.environ for name in drivers.USER_VARIABLES)


@on_posix
@pytest.mark.parametrize("turned_off", [False, True])
def test_without_a_cache_folder_it_is_a_temporary_one(pip, tmp_path, monkeypatch, turned_off):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("CLND_CACHE", "" if turned_off else str(blocked / "below"))
    drivers.make_visible()
    assert listed() == sorted([f"{pip}\n", "libpocl.so.2\n"])


@on_posix
def test_a_damaged_folder_is_repaired(pip):
    drivers.make_visible()
    for file in Path(os.environ["OCL_ICD_VENDORS"]).iterdir():
        file.write_text("damaged")
    drivers.make_visible()
    assert listed() == sorted([f"{pip}\n", "libpocl.so.2\n"])


@on_posix
def test_several_at_once(pip):
    threads = [threading.Thread(target=drivers.make_visible) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert listed() == sorted([f"{pip}\n", "libpocl.so.2\n"])


def test_runtimes_are_found_where_pip_puts_them(tmp_path, monkeypatch):
    name = "Library/bin/intelocl64.dll" if os.name == "nt" else "lib/libintelocl.so"
    expected = []
    for place in ("prefix", "user"):
        library = tmp_path / place / name
        library.parent.mkdir(parents=True)
        library.touch()
        expected.append(library)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(drivers.sysconfig, "get_path", lambda name: str(tmp_path / "prefix"))
    monkeypatch.setattr(drivers.site, "getuserbase", lambda: str(tmp_path / "user"))
    assert drivers.pypi_runtimes() == expected


def test_icd_files_that_name_what_is_not_there_are_left_out(tmp_path, monkeypatch):
    vendors = tmp_path / "etc" / "OpenCL" / "vendors"
    vendors.mkdir(parents=True)
    library = tmp_path / "driver.so"
    library.touch()
    (vendors / "clnd-test-there.icd").write_text(f"{library}\n")
    (vendors / "clnd-test-missing.icd").write_text(f"{library}.missing\n")
    (vendors / "clnd-test-by-name.icd").write_text("libdriver.so.1")
    (vendors / "clnd-test-empty.icd").write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    found = {name: text for name, text in drivers.system_icds().items() if name.startswith("clnd-test-")}
    assert found == {"clnd-test-there.icd": str(library), "clnd-test-by-name.icd": "libdriver.so.1"}


def test_the_runtime_in_this_environment_is_listed(run):
    done = run(
        "from clnd.opencl import candidates\n"
        "from clnd.opencl.drivers import pypi_runtimes\n"
        "print(not pypi_runtimes() or any(c.platform.startswith('Intel') for c in candidates()))",
        CLND_DEVICES=None,
        CLND_AS_GPU=None,
        LD_PRELOAD=None,  # Oclgrind's way to hide all other drivers
        **dict.fromkeys(drivers.USER_VARIABLES),
    )
    assert done.stdout == "True\n", done.stderr


def test_nothing_is_touched_by_importing(run):
    done = run(
        "import os, sys; before = dict(os.environ)\n"
        "import clnd.opencl\n"
        "print(dict(os.environ) == before, {'pyopencl', 'mako'} & set(sys.modules))"
    )
    assert done.stdout == "True set()\n", done.stderr


@on_posix
def test_a_home_that_cannot_be_written_still_computes(run, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    done = run(
        "from clnd.opencl import cpu_devices, gpu_devices\nprint(sorted(str(d) for d in (*cpu_devices(), *gpu_devices())))",
        HOME=str(blocked),
        XDG_CACHE_HOME=str(blocked),
        CLND_CACHE=None,
    )
    usual = run("from clnd.opencl import cpu_devices, gpu_devices\nprint(sorted(str(d) for d in (*cpu_devices(), *gpu_devices())))")
    assert (done.returncode, done.stdout) == (0, usual.stdout)
    assert "Traceback" not in done.stderr
