import json
import subprocess
import time
from types import SimpleNamespace

import pytest

from clnd.opencl import cache as store
from clnd.opencl import files, trial


@pytest.fixture
def attempts(monkeypatch):
    """Devices tried in this process, each found to be without fault."""
    tried = []
    monkeypatch.setattr(trial, "attempt", lambda device: tried.append(device))
    return tried


@pytest.fixture
def left_behind(device, cache):
    """The marker of a process that died while it tried the device."""
    marker = cache / "trials" / f"{trial.trial_key(device.cl)}.trying"
    store.marker("trials", marker.name).close()
    return marker


def test_a_usable_device_passes(device, cache):
    assert trial.attempt(device.cl) is None
    assert trial.reason_unusable(device.cl) is None


def test_a_device_whose_compiler_fails_does_not(device, cache, monkeypatch):
    monkeypatch.setattr(trial, "_SOURCE", "kernel void clnd_trial(global float* a, int n) { a[0] = nonsense; }")
    reason = trial.attempt(device.cl)
    assert "nonsense" in reason
    assert "error" in reason
    assert "\n" not in reason


def made_for(compiled_for, width=16, platform="Portable Computing Language"):
    """What is asked of a device, of which a driver says that it compiles for this processor."""
    version = f"OpenCL 3.0 PoCL HSTR: pthread-x86_64-unknown-linux-gnu-{compiled_for} "
    return SimpleNamespace(platform=SimpleNamespace(name=platform), version=version, native_vector_width_float=width)


@pytest.mark.parametrize(
    ("device", "older"),
    [
        (made_for("znver3"), "znver3"),
        (made_for("generic"), "generic"),
        (made_for("znver3", width=8), None),
        (made_for("skylake-avx512"), None),
        (made_for("znver4"), None),
        (made_for("znver3", platform="another"), None),
    ],
)
def test_a_processor_taken_for_an_older_one(device, older):
    assert trial.taken_for(device) == older


def test_a_device_whose_compiler_is_in_doubt_is_tried_apart_with_wide_vectors(device, cache, attempts, monkeypatch):
    monkeypatch.setattr(trial, "taken_for", lambda device: "znver3")
    assert trial.reason_unusable(device.cl) is None
    assert attempts == []
    trial.forget_trials()
    monkeypatch.setattr(trial, "_attempt_apart", lambda key: ("trying it killed the process", True))
    assert trial.reason_unusable(device.cl) == "its compiler takes the processor for the older znver3: trying it killed the process"


@pytest.mark.parametrize(
    ("source", "reason"),
    [("exp", None), ("exp2(1.0f) * exp", "a small kernel of wide vectors gave wrong numbers"), ("nonsense", "nonsense")],
)
def test_wide_vectors_are_tried(device, monkeypatch, source, reason):
    monkeypatch.setattr(trial, "taken_for", lambda device: "znver3")
    monkeypatch.setattr(trial, "_WIDE_SOURCE", trial._WIDE_SOURCE.replace("exp", source))
    found = trial.attempt(device.cl)
    assert found == reason or reason in found


def test_a_device_that_computes_wrong_numbers_does_not(device, monkeypatch):
    monkeypatch.setattr(trial, "_SOURCE", trial._SOURCE.replace("2.0f", "3.0f"))
    assert trial.attempt(device.cl) == "a small kernel gave wrong numbers"


def test_a_device_is_tried_once(device, cache, attempts):
    assert trial.reason_unusable(device.cl) is None
    assert trial.reason_unusable(device.cl) is None
    assert attempts == [device.cl]


@pytest.mark.parametrize("reason", [None, "error: unknown target CPU"])
def test_the_answer_is_kept(device, cache, monkeypatch, reason):
    monkeypatch.setattr(trial, "attempt", lambda device: reason)
    assert trial.reason_unusable(device.cl) == reason
    monkeypatch.setattr(trial, "attempt", lambda device: pytest.fail("tried again"))
    assert trial.reason_unusable(device.cl) == reason
    assert [file.suffix for file in (cache / "trials").iterdir()] == [".json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"reason": 5, "fatal": false, "tried": 1}', '{"reason": null}', "\0"])
def test_a_damaged_answer_costs_another_trial(device, cache, attempts, text):
    trial.reason_unusable(device.cl)
    [file] = (cache / "trials").iterdir()
    assert store.keep("trials", file.name, text.encode())
    assert trial.reason_unusable(device.cl) is None
    assert len(attempts) == 2
    assert json.loads(store.read("trials", file.name))["reason"] is None


def test_a_failure_counts_for_a_day(device, cache, attempts, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(trial, "attempt", lambda device: "error: no space left on device")
        trial.reason_unusable(device.cl)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 23 * 3600)
    assert trial.reason_unusable(device.cl) == "error: no space left on device"
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    assert trial.reason_unusable(device.cl) is None
    monkeypatch.setattr(time, "time", lambda: now + 1000 * 3600)
    assert trial.reason_unusable(device.cl) is None
    assert len(attempts) == 1


@pytest.mark.parametrize("turned_off", [False, True])
def test_without_a_cache_it_is_tried_each_time(device, tmp_path, monkeypatch, attempts, turned_off):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLND_CACHE", "" if turned_off else str(tmp_path / "file" / "below"))
    trial.reason_unusable(device.cl)
    trial.reason_unusable(device.cl)
    assert len(attempts) == 2


def test_another_processor_or_driver_is_another_trial(device, monkeypatch):
    keys = {trial.trial_key(device.cl)}
    monkeypatch.setattr(trial, "processor", lambda: "another")
    keys.add(trial.trial_key(device.cl))
    monkeypatch.setattr(trial, "describe", lambda device: "another")
    keys.add(trial.trial_key(device.cl))
    assert len(keys) == 3


def test_forgetting(device, cache, attempts):
    assert trial.forget_trials() == 0
    trial.reason_unusable(device.cl)
    assert trial.forget_trials() == 1
    trial.reason_unusable(device.cl)
    assert len(attempts) == 2


def test_a_trial_that_kills_the_process_leaves_a_marker(device, cache, run):
    done = run("import os\nfrom clnd.opencl import trial, candidates\ntrial.attempt = lambda device: os._exit(77)\ncandidates()")
    assert done.returncode == 77
    assert [file.suffix for file in (cache / "trials").iterdir()] == [".trying"]


def test_after_a_death_the_device_is_tried_apart(device, cache, attempts, left_behind):
    assert trial.reason_unusable(device.cl) is None
    assert attempts == []
    assert [file.suffix for file in left_behind.parent.iterdir()] == [".json"]


def died(command, **options):
    return subprocess.CompletedProcess(command, -11, b"", b"")


def hung(command, timeout, **options):
    raise subprocess.TimeoutExpired(command, timeout)


def unable(command, **options):
    raise OSError


@pytest.mark.parametrize(
    ("process", "reason"),
    [
        (died, "trying it killed the process (exit status -11)"),
        (hung, "trying it took more than 120 seconds"),
        (unable, "killed the process"),
    ],
)
def test_a_device_that_kills_its_process_again_is_unusable(device, cache, monkeypatch, left_behind, process, reason):
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "run", process)
        assert reason in trial.reason_unusable(device.cl)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: 2 * now)  # what kills a process is not tried again by itself, however long ago
    kept = trial.reason_unusable(device.cl)
    assert reason in kept
    assert "clnd doctor" in kept
    trial.forget_trials()
    assert trial.reason_unusable(device.cl) is None


def test_a_marker_that_a_living_process_holds_is_no_death(device, cache, attempts, left_behind):
    with open(left_behind, "ab") as held:
        assert files.lock(held)
        assert trial.reason_unusable(device.cl) is None
    assert attempts == [device.cl]


def test_an_interrupted_trial_leaves_no_marker(device, cache, monkeypatch):
    def interrupted(device):
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "attempt", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trial.reason_unusable(device.cl)
    assert list((cache / "trials").iterdir()) == []
