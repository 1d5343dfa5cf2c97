"""What is kept on disk: whole or not there, the user's alone, and never in the way."""

import errno
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import pytest

from clnd.opencl import cache as store
from clnd.opencl import files

posix = pytest.mark.skipif(os.name == "nt", reason="rights and links as POSIX has them")


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Nothing was refused yet."""
    monkeypatch.setattr(store, "_refused", set())


@pytest.fixture
def kept(cache):
    """The file of an entry."""
    assert store.keep("programs", "a.bin", b"what was compiled")
    return cache / "programs" / "a.bin"


def test_what_is_kept_is_read(kept):
    assert store.read("programs", "a.bin") == b"what was compiled"
    assert store.read("programs", "b.bin") is None
    assert store.read("trials", "a.bin") is None
    assert [entry.name for entry in store.entries("programs")] == ["a.bin"]
    assert store.forget("programs", "b.bin") == 0
    assert store.forget("programs") == 1
    assert store.read("programs", "a.bin") is None


def test_every_flipped_bit_and_every_cut_is_found(kept, monkeypatch):
    whole = kept.read_bytes()
    flipped = [(int.from_bytes(whole, "big") ^ 1 << i).to_bytes(len(whole), "big") for i in range(8 * len(whole))]
    damages = [*flipped, *(whole[:length] for length in range(len(whole))), whole + b"\0"]
    with monkeypatch.context() as memory:  # without the disk, which takes its time for a thousand files
        for damaged in damages:
            memory.setattr(store, "_opened", lambda *about, data=damaged: io.BytesIO(data))
            assert store.read("programs", "a.bin") is None, damaged
    kept.write_bytes(damages[-2])
    assert store.read("programs", "a.bin") is None


def test_an_entry_of_another_version_or_name_is_none(kept):
    whole = kept.read_bytes()
    kept.with_name("b.bin").write_bytes(whole)
    assert store.read("programs", "b.bin") is None
    kept.write_bytes(whole.replace(b"clnd entry 1", b"clnd entry 2"))
    assert store.read("programs", "a.bin") is None


def test_an_entry_may_be_removed_at_any_time(kept, cache):
    shutil.rmtree(cache)
    assert store.read("programs", "a.bin") is None
    assert store.entries("programs") == []
    assert store.keep("programs", "a.bin", b"anew")
    assert store.read("programs", "a.bin") == b"anew"


@posix
def test_folders_and_files_are_the_users_alone(cache):
    before = os.umask(0)
    try:
        store.keep("programs", "a.bin", b"")
        store.marker("trials", "a.trying").close()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (cache, cache / "programs", cache / "trials")}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache.glob("*/*")} == {0o600}


def refuses(problem):
    """Nothing is read or kept; one warning says why."""
    with pytest.warns(RuntimeWarning, match=problem):
        assert store.read("programs", "a.bin") is None
    assert store.read("programs", "a.bin") is None  # without another warning, which would be an error
    assert not store.keep("programs", "b.bin", b"")
    assert store.entries("programs") == []


@posix
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_may_write_is_refused(kept, cache, mode, inside):
    (kept.parent if inside else cache).chmod(mode)
    refuses("others may write")


@posix
def test_a_folder_of_another_user_is_refused(kept, monkeypatch):
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    refuses("belongs to another user")
    monkeypatch.undo()


@posix
@pytest.mark.parametrize("inside", [False, True])
def test_a_link_in_the_place_of_a_folder_is_refused(kept, cache, tmp_path, inside):
    folder = kept.parent if inside else cache
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    refuses("is a symbolic link")


@posix
def test_a_linked_folder_above_is_followed(cache, tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("CLND_CACHE", str(tmp_path / "link" / "clnd"))
    assert store.keep("programs", "a.bin", b"1")
    assert store.read("programs", "a.bin") == b"1"
    assert (tmp_path / "real" / "clnd" / "programs" / "a.bin").is_file()


@posix
def test_a_link_in_the_place_of_a_file_is_not_followed(kept, tmp_path):
    aim = tmp_path / "aim"
    kept.rename(aim)
    kept.symlink_to(aim)
    before = aim.read_bytes()
    assert store.read("programs", "a.bin") is None
    with pytest.raises(OSError, match=re.escape(kept.name)):
        store.marker("programs", "a.bin")
    assert store.keep("programs", "a.bin", b"anew")
    assert aim.read_bytes() == before
    assert store.read("programs", "a.bin") == b"anew"


@posix
def test_a_file_that_others_may_write_is_none(kept):
    kept.chmod(0o666)
    assert store.read("programs", "a.bin") is None
    assert store.keep("programs", "a.bin", b"anew")
    assert store.read("programs", "a.bin") == b"anew"


class Full:
    """A file on a disk on which there is room for one byte."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *about):
        self.file.close()

    def write(self, data):
        self.file.write(data[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fileno(self):
        return self.file.fileno()


def test_a_full_disk_costs_time_only(kept, monkeypatch):
    monkeypatch.setattr(files, "open", lambda *about: Full(open(*about)), raising=False)  # noqa: SIM115
    assert not store.keep("programs", "a.bin", b"anew")
    assert store.read("programs", "a.bin") == b"what was compiled"
    assert [file.name for file in kept.parent.iterdir()] == ["a.bin"]
    assert "No space left" in store.why_not()


def test_a_disk_that_takes_no_writes_costs_time_only(kept, monkeypatch):
    plain = os.open

    def refuse(path, flags, *about, **options):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return plain(path, flags, *about, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert not store.keep("programs", "a.bin", b"anew")
    assert store.read("programs", "a.bin") == b"what was compiled"
    assert "Read-only" in store.why_not()


def test_what_the_dead_left_is_swept(tmp_path):
    left = tmp_path / ".a.bin.0123456789abcdef.new"
    mine = tmp_path / ".a.bin.new"  # somebody's, but none of ours
    for path in (left, mine):
        path.write_bytes(b"half")
    with open(left, "ab") as held:
        assert files.lock(held)
        files.write_whole(tmp_path / "b.bin", b"1")
        assert left.exists(), "a living process writes it"
    files.write_whole(tmp_path / "b.bin", b"2")
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, "b.bin"]


def test_a_file_that_was_swept_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    plain, swept = files.lock, []

    def late(file, wait=False):
        if wait and not swept:
            swept.append(file)
            files._sweep(tmp_path)
        return plain(file, wait)

    monkeypatch.setattr(files, "lock", late)
    files.write_whole(tmp_path / "a.bin", b"1")
    assert swept
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from clnd.opencl import cache, files

contents = [bytes([letter]) * 300_000 for letter in b"ab"]
saved, folder = Path(sys.argv[1], "x.params"), Path(os.environ["CLND_CACHE"], "programs")
files.write_whole(saved, contents[0])
cut = 0
for number in range(100):
    child = os.fork()
    if not child:
        while True:
            for data in contents:
                cache.keep("programs", "a.bin", data)
                files.write_whole(saved, data)
    time.sleep(random.uniform(0.001, 0.006))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for place in (folder, saved.parent):
        left = [path for path in place.iterdir() if path.name.startswith(".")] if place.is_dir() else []
        cut += len(left)
        assert len(left) <= 1, left
    assert saved.read_bytes() in contents, number
    kept = cache.read("programs", "a.bin")
    assert kept in contents or (kept is None and not (folder / "a.bin").exists()), number
print(cut)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")
def test_killed_at_any_moment(tmp_path, run):
    memory = "/dev/shm"  # where it depends less on what else the disk has to do
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        done = run(KILLED.replace("sys.argv[1]", repr(folder)), CLND_CACHE=f"{folder}/cache")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0, "not one was killed while it wrote"


def test_two_processes_that_compile_the_same(cache, templates, tmp_path):
    code = (
        "import pathlib\n"
        "from clnd.opencl import cpu_devices, gpu_devices, counters, source\n"
        f"source.template_folder = lambda: pathlib.Path({str(templates)!r})\n"
        "device = (*cpu_devices(), *gpu_devices())[0]\n"
        "input()\n"
        "device.kernel('scale', 'scale', addend=0)\n"
        "print(counters.compilations + counters.loaded)"
    )
    paths = os.pathsep.join(filter(None, [str(files.__file__).rsplit("clnd", 1)[0], os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, **pipes) for _ in range(2)]
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=300) for process in both]
    assert [out for out, _ in said] == ["1\n", "1\n"], said
    assert [file.suffix for file in (cache / "programs").iterdir()] == [".bin"]
    (entry,) = store.entries("programs")
    assert store.read("programs", entry.name)
