"""The `clnd` command: what it prints, and how it fails."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import clnd
from clnd import limits
from clnd.cli import app, bench, doctor
from clnd.cli.expression import Expression, ExpressionError
from clnd.limits import Costs, Limits
from clnd.opencl import advice, cache, inspect

FIELDS = {"context", "device", "platform", "driver_version", "kind", "compute_units", "memory", "fp64", "fp16", "usable", "reason"}
PLACE = str(Path(clnd.__file__).parent.parent)


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `clnd` in a process of its own, for what is read once in a process."""
    paths = os.pathsep.join(filter(None, [PLACE, os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200", **variables}
    return subprocess.run([sys.executable, "-m", "clnd", *arguments], env=environment, capture_output=True, text=True, check=False)


def succeed(*arguments: str, **variables: str) -> str:
    done = command(*arguments, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def first():
    """What `clnd devices` says of the default device."""
    return inspect.device_reports()[0]


@pytest.fixture
def run():
    def invoke(*arguments: str):
        return CliRunner().invoke(app, arguments)

    return invoke


class TestDevices:
    def test_json_tells_each_device(self, run):
        result = run("devices", "--json")
        assert result.exit_code == 0
        devices = json.loads(result.stdout)
        assert all(device.keys() >= FIELDS for device in devices)
        assert devices[0]["context"] in ("cpu(0)", "gpu(0)")
        assert all(device["usable"] == (device["context"] is not None) == (device["reason"] is None) for device in devices)
        assert all(device["memory"] > 0 and device["compute_units"] > 0 for device in devices)
        names = [device["context"] for device in devices if device["usable"]]
        assert len(names) == len(set(names)), "a name stands for one device"

    def test_names_are_those_of_the_library(self, run):
        names = {device["context"] for device in json.loads(run("devices", "--json").stdout) if device["usable"]}
        assert {name for name in names if name.startswith("gpu")} == {f"gpu({i})" for i in range(clnd.num_gpus())}

    def test_the_table_has_the_same(self, first):
        table = succeed("devices")
        for text in (first.context, first.device, first.platform, first.driver_version, "fp64", "Usable"):
            assert text in table

    def test_a_device_behind_gpu(self, first):
        devices = json.loads(succeed("devices", "--json", CLND_AS_GPU=first.device))
        assert {"gpu(0)"} <= {device["context"] for device in devices if device["device"] == first.device}

    def test_what_is_left_out_is_still_listed(self, first):
        everything = json.loads(succeed("devices", "--json", CLND_DEVICES=""))
        chosen = json.loads(succeed("devices", "--json", CLND_DEVICES=first.driver_version))
        assert {device["driver_version"] for device in chosen if device["usable"]} == {first.driver_version}
        assert len(chosen) == len(everything)
        left_out = [device for device in chosen if first.driver_version not in device["driver_version"]]
        assert all("CLND_DEVICES" in device["reason"] for device in left_out if "no-such" not in device["driver_version"])

    @pytest.mark.parametrize("variable", ["CLND_DEVICES", "CLND_AS_GPU"])
    def test_a_choice_of_nothing_is_an_error_that_lists_what_there_is(self, first, variable):
        done = command("devices", **{variable: "no-such-driver"})
        assert done.returncode == 1
        assert f"{variable}=no-such-driver" in done.stderr
        assert first.platform in done.stderr
        assert "Traceback" not in done.stderr

    def test_without_a_driver_it_fails_and_names_the_doctor(self, monkeypatch, run):
        monkeypatch.setattr("clnd.cli.devices.device_reports", list)
        result = run("devices", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout) == []
        assert "clnd doctor" in result.stderr

    def test_an_unusable_device_shows_its_reason_and_what_to_do(self, monkeypatch, run, first):
        broken = inspect.DeviceReport(**{**vars(first), "context": None, "usable": False, "reason": "it [broke]", "advice": "[mend] it"})
        monkeypatch.setattr("clnd.cli.devices.device_reports", lambda: [broken])
        result = run("devices")
        assert result.exit_code == 1
        assert "is not used: it [broke]\n    [mend] it" in result.stdout


class TestDoctor:
    def test_a_healthy_machine(self, first, tmp_path):
        said = succeed("doctor", CLND_CACHE=str(tmp_path))
        for heading in ("Versions", "Loader", "Drivers from PyPI", "Devices", "Rights to use a GPU", "Cache", "An array", "Conclusion"):
            assert f"\n{heading}" in said
        for text in (first.device, first.platform, str(tmp_path), "pyopencl ", "an array can be computed", "arange(4) * 2 + 1 on "):
            assert text in said
        assert said.splitlines()[-2] == "Run next:"
        assert said.splitlines()[-1].startswith("  ")

    def test_devices_are_tried_anew(self, tmp_path, monkeypatch):
        succeed("doctor", CLND_CACHE=str(tmp_path))
        monkeypatch.setenv("CLND_CACHE", str(tmp_path))
        for entry in cache.entries("trials"):
            answer = {**json.loads(cache.read("trials", entry.name)), "reason": "an old answer"}
            assert cache.keep("trials", entry.name, json.dumps(answer).encode())
        assert "an old answer" in command("devices", CLND_CACHE=str(tmp_path)).stdout
        assert "an old answer" not in succeed("doctor", CLND_CACHE=str(tmp_path))

    def test_no_driver(self, tmp_path):
        """A folder of ICD files with nothing that loads: the reason is the system's own, and the end is a command."""
        (tmp_path / "broken.so").write_text("this is no library")
        (tmp_path / "broken.icd").write_text(str(tmp_path / "broken.so"))
        (tmp_path / "missing.icd").write_text("libno-such-opencl.so.1")
        done = command("doctor", OCL_ICD_VENDORS=str(tmp_path), CLND_CACHE=str(tmp_path / "cache"))
        assert "broken.so: file too short" in done.stdout or "broken.so: invalid ELF header" in done.stdout
        assert "libno-such-opencl.so.1: cannot open shared object file" in done.stdout
        assert f"OCL_ICD_VENDORS={tmp_path}" in done.stdout
        assert "Traceback" not in done.stderr
        lines = done.stdout.splitlines()
        assert lines[lines.index("Run next:") + 1].strip()

    def test_a_choice_of_nothing(self, tmp_path):
        done = command("doctor", CLND_DEVICES="no-such-driver", CLND_CACHE=str(tmp_path))
        assert done.returncode == 1
        assert "an array cannot be computed" in done.stdout
        assert done.stdout.splitlines()[-1] == "  unset CLND_DEVICES CLND_AS_GPU"

    def test_a_cache_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        said = succeed("doctor", CLND_CACHE=str(tmp_path / "file" / "cache"))
        assert "cannot be written" in said
        assert "export CLND_CACHE=" in said

    def test_a_library_that_kills_the_process_is_survived(self, monkeypatch):
        kill = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
        plain = subprocess.run
        monkeypatch.setattr(subprocess, "run", lambda command, **options: plain([sys.executable, "-c", kill], **options))
        assert inspect.load_error("libm.so.6") == "loading it kills the process (SIGSEGV)"
        found = inspect.survey()
        assert found.error == "listing the devices kills the process (SIGSEGV)"
        assert found.devices == []

    @pytest.mark.parametrize(("error", "first"), [("loading it kills the process (SIGSEGV)", True), ("file too short", False)])
    def test_a_library_that_kills_comes_before_all_else(self, error, first, tmp_path):
        file = tmp_path / "driver.icd"
        icd = inspect.IcdReport(str(file), "driver.so", True, error)
        found = doctor._problems(inspect.Survey(error="it died"), [icd], [])
        assert found[0 if first else -1].remedy == f"mv {file} {file}.off"
        assert "it died" in [finding.problem for finding in found]

    def test_a_library_that_does_not_load_is_no_problem_beside_a_device(self, first):
        icd = inspect.IcdReport("driver.icd", "driver.so", True, "file too short")
        assert not [finding for finding in doctor._problems(inspect.Survey(devices=[first]), [icd], []) if "driver" in finding.problem]

    def test_rights(self, tmp_path, monkeypatch):
        file = tmp_path / "renderD128"
        file.touch()
        monkeypatch.setattr(Path, "group", lambda self: "render")
        assert inspect._rights(file) == inspect.RightsReport(str(file), "render", True, None)
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        monkeypatch.setattr(inspect, "_member", lambda group: False)
        assert inspect._rights(file).advice == "sudo usermod -aG render $USER, then log out and in again"
        monkeypatch.setattr(inspect, "_member", lambda group: True)
        assert "log out and in again" in inspect._rights(file).advice
        assert "usermod" not in inspect._rights(file).advice


class TestAdvice:
    @pytest.mark.parametrize(
        ("system", "machine", "like", "packages", "command"),
        [
            ("linux", "x86_64", ["debian"], (), "pip install 'clnd[cpu]'"),
            ("linux", "x86_64", ["debian"], ("intel-opencl-rt",), "pip install 'clnd[cpu]'"),
            ("linux", "x86_64", ["ubuntu", "debian"], ("intel-opencl-rt", "intel-cmplr-lib-rt"), "sudo apt-get install pocl-opencl-icd"),
            ("linux", "aarch64", ["fedora"], (), "sudo dnf install pocl"),
            ("linux", "aarch64", ["unheard-of"], (), "conda install -c conda-forge pyopencl pocl"),
            ("win32", "AMD64", [], (), "pip install 'clnd[cpu]'"),
            ("darwin", "arm64", [], (), "conda install -c conda-forge pyopencl pocl"),
        ],
    )
    def test_a_driver_for_the_processor(self, monkeypatch, system, machine, like, packages, command):
        monkeypatch.setattr(advice.sys, "platform", system)
        monkeypatch.setattr(advice.platform, "machine", lambda: machine)
        monkeypatch.setattr(advice, "distribution", lambda: like)
        monkeypatch.setattr(advice, "installed", lambda name: "1.0" if name in packages else None)
        assert advice.cpu_driver() == command

    def test_a_pocl_older_than_the_processor(self):
        said = advice.for_reason("Portable Computing Language", "error: unknown target CPU 'generic'")
        assert said.startswith("this PoCL's compiler is older than the processor")
        assert said.endswith(advice.cpu_driver())


class TestCache:
    def test_shows_and_clears_compiled_programs(self, tmp_path):
        code = "import clnd as mx; (mx.nd.ones((3,)) + 1).asnumpy()"
        environment = {**os.environ, "PYTHONPATH": PLACE, "CLND_CACHE": str(tmp_path)}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        said = succeed("cache", CLND_CACHE=str(tmp_path))
        assert str(tmp_path) in said
        assert "Programs  0" not in said
        assert "Written" in said
        assert "Removed" in succeed("cache", "--clear", CLND_CACHE=str(tmp_path))
        assert "Programs  0 (0.0 MiB)" in succeed("cache", CLND_CACHE=str(tmp_path))

    def test_turned_off(self):
        assert "turned off" in succeed("cache", CLND_CACHE="")

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        done = command("cache", CLND_CACHE=str(tmp_path / "file" / "cache"))
        assert done.returncode == 1
        assert "cannot be written" in done.stderr


class TestKernels:
    TANH = ("kernels", "tanh(x * y + 1)", "--shape", "x=1000,10", "y=10")

    @pytest.fixture(autouse=True)
    def lazy(self, monkeypatch):
        monkeypatch.delenv("CLND_EAGER", raising=False)

    def test_prints_the_source_and_counts_launches(self, first):
        said = succeed(*self.TANH)
        assert said.splitlines()[0].startswith("// forward, launch 1 of 1: multiply_add_tanh__float32_")
        assert said.splitlines()[-1].startswith(f"// launches: 1 forward, on {first.context}, {clnd.current_context().device.name}")
        assert said.count("__kernel ") == 1
        assert re.search(r"= tanh\w*\(", said)

    def test_backward(self):
        said = succeed(*self.TANH, "--grad")
        forward, backward = map(int, re.search(r"// launches: (\d+) forward, (\d+) backward, on ", said).groups())
        assert forward == 1
        assert backward >= 1
        assert len(re.findall(rf"^// backward, launch \d+ of {backward}: ", said, re.MULTILINE)) == backward

    def test_shapes_may_be_given_one_by_one(self):
        assert succeed(*self.TANH[:2], "--shape", "y=10", "--shape", "x=(1000, 10)") == succeed(*self.TANH)

    def test_dtype(self, first):
        if first.fp64:
            assert "double" in succeed(*self.TANH, "--dtype", "float64")
        assert "double" not in succeed(*self.TANH)

    def test_device(self, first):
        said = succeed(*self.TANH, "--device", "gpu(0)", CLND_AS_GPU=first.device)
        assert said.splitlines()[-1].startswith(f"// launches: 1 forward, on gpu(0), {clnd.current_context().device.name}")

    def test_several_results_and_launches(self):
        said = succeed("kernels", "sum(x, axis=1) + dot(x, y)", "--shape", "x=4,5", "y=5")
        launches = int(re.search(r"// launches: (\d+) forward", said)[1])
        assert launches > 1
        assert said.count("// forward, launch ") == launches

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["no_such_operator(x)", "--shape", "x=3"], "there is no operator no_such_operator"),
            (["load('x') + x", "--shape", "x=3"], "there is no operator load"),
            (["waitall()"], "there is no operator waitall"),
            (["array(1)"], "there is no operator array"),
            (["NDArray(x)", "--shape", "x=3"], "there is no operator NDArray"),
            (["x + y", "--shape", "x=3"], "y has no shape: --shape y=..."),
            (["x + 1", "--shape", "x=3", "y=3"], "there is no array y in x + 1 (there are: x)"),
            (["x + 1", "--shape", "x=three"], "a shape is given as a name and sizes"),
            (["x + 1", "--shape", "x=3", "x=4"], "x has the shape (3,) already"),
            (["x + y", "--shape", "x=3", "y=4"], "could not be broadcast"),
            (["sum(x, axes=1)", "--shape", "x=3"], "no attribute axes"),
            (["sum(x, axis=5)", "--shape", "x=3"], "axis 5 is out of bounds"),
            (["1 + 1"], "there is no array in it"),
            (["x + 1", "--shape", "x=3", "--dtype", "float31"], "float31"),
            (["x + 1", "--shape", "x=3", "--device", "tpu"], "a context is given as cpu, gpu"),
            (["x + 1", "--shape", "x=3", "--device", "gpu(99)"], "gpu(99)"),
            (["x + 1", "--shape", "x=100000,100000,100000"], "bytes"),
        ],
    )
    def test_what_cannot_be_is_told_without_a_traceback(self, arguments, problem):
        done = command("kernels", *arguments)
        assert done.returncode == 1
        assert problem in done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        "code", ["__import__('os').system('touch {0}')", "open('{0}', 'w')", "sum(x, axis=open('{0}', 'w'))", "f\"{{open('{0}', 'w')}}\""]
    )
    def test_the_expression_is_never_run_as_python(self, code, tmp_path):
        code = code.format(tmp_path / "file")
        done = command("kernels", code, "--shape", "x=3")
        assert done.returncode in (1, 2)
        assert code in done.stderr or "there is no array x" in done.stderr
        assert not (tmp_path / "file").exists()


class Recorder:
    """Stands for an array: notes what is called on it."""

    def __init__(self, said: str) -> None:
        self.said = said

    def _binary(sign: str):
        return lambda self, other: Recorder(f"({self.said} {sign} {getattr(other, 'said', other)})")

    def _reflected(sign: str):
        return lambda self, other: Recorder(f"({other} {sign} {self.said})")

    __add__, __sub__, __mul__, __truediv__, __mod__, __pow__ = map(_binary, ("+", "-", "*", "/", "%", "**"))
    __radd__, __rsub__, __rmul__, __rtruediv__, __rmod__, __rpow__ = map(_reflected, ("+", "-", "*", "/", "%", "**"))
    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = map(_binary, ("<", "<=", ">", ">=", "==", "!="))
    __hash__ = None

    def __neg__(self):
        return Recorder(f"(-{self.said})")


def evaluate(text: str) -> str:
    def operator(name: str):
        return lambda *x, **attributes: Recorder(
            f"{name}({', '.join([getattr(y, 'said', repr(y)) for y in x] + [f'{k}={v!r}' for k, v in attributes.items()])})"
        )

    arrays = {name: Recorder(name) for name in ("x", "y", "ünï")}
    return Expression.parse(text).evaluate(arrays, {name: operator(name) for name in ("tanh", "sum", "concat")}).said


class TestExpression:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("tanh(x * y + 1)", "tanh(((x * y) + 1))"),
            (" x\n - y / 2.5 ", "(x - (y / 2.5))"),
            ("2 ** -x % 3", "((2 ** (-x)) % 3)"),
            ("+x", "x"),
            ("sum(x, axis=(0, -1), keepdims=True)", "sum(x, axis=(0, -1), keepdims=True)"),
            ("concat(x, y, dim=1)", "concat(x, y, dim=1)"),
            ("x <= y", "(x <= y)"),
            ("1 > x", "(x < 1)"),
            ("x * (2 ** 3)", "(x * 8.0)"),
            ("tanh(ünï)", "tanh(ünï)"),
        ],
    )
    def test_calls_operators(self, text, said):
        assert evaluate(text) == said

    def test_names_are_in_order_and_without_operators(self):
        assert Expression.parse("where(y > 1, x, tanh(y))").names == ("y", "x")

    @pytest.mark.parametrize(
        ("text", "at", "problem"),
        [
            ("__import__('os').system('true')", "__import__('os').system", "not understood"),
            ("__import__('os')", "__import__", "there is no operator __import__"),
            ("tanh(x).__class__", "tanh(x)", "not understood"),
            ("tanh.__globals__", "tanh", "not understood"),
            ("x.__init__", "x", "not understood"),
            ("tanh", "tanh", "call it"),
            ("x + tanh(eval('1'))", "eval", "there is no operator eval"),
            ("x[0]", "x", "not understood"),
            ("lambda: x", "lambda", "not understood"),
            ("[x for x in y]", "[x", "not understood"),
            ("x + 'text'", "'text'", "not understood"),
            ("x + True", "True", "not understood"),
            ("x + 1j", "1j", "not understood"),
            ("f'{x}'", "f'", "not understood"),
            ("x if y else x", "x", "not understood"),
            ("x and y", "x", "not understood"),
            ("x < y < x", "x", "not understood"),
            ("x @ y", "x", "not understood"),
            ("(y := x)", "y", "not understood"),
            ("sum(*x)", "*x", "not understood"),
            ("sum(x, **y)", "y", "name=value"),
            ("sum(x, axis=y)", "y)", "must be a literal"),
            ("sum(x, axis=tanh(1))", "tanh(1)", "must be a literal"),
            ("x + z", "z", "--shape z="),
            ("ünï + z", "z", "--shape z="),
            ("x +", "", "no expression"),
            ("x; y", "; y", "no expression"),
            ("", "", "no expression"),
            ("x = 1", "= 1", "no expression"),
            ("9.0 ** 9 ** 9", "9.0", "too large"),
            ("x + 1 / 0", "1 / 0", "division by zero"),
        ],
    )
    def test_anything_else_is_refused_with_its_place(self, text, at, problem):
        with pytest.raises(ExpressionError) as caught:
            evaluate(text)
        shown, pointer = str(caught.value).splitlines()
        assert shown == text
        assert problem in pointer
        if at:
            assert text[pointer.index("^") :].startswith(at)

    @pytest.mark.parametrize("text", ["(" * 5000 + "x" + ")" * 5000, "x" + "+x" * 100_000, "-" * 100_000 + "x", "x\0"])
    def test_what_would_break_the_parser_is_refused(self, text):
        with pytest.raises(ExpressionError):
            evaluate(text)

    def test_numbers_alone_cannot_keep_the_processor_busy(self):
        with pytest.raises(ExpressionError, match="too large"):
            evaluate("x * 9 ** 9 ** 9 ** 9")


class TestBench:
    def test_json_tells_rates_and_costs(self, run):
        result = run("bench", "--device", "cpu", "--json")
        assert result.exit_code == 0, result.output
        (row,) = json.loads(result.stdout)
        assert row["context"] == "cpu(0)" and row["device"]
        assert all(row[name] > 0 for name in ("copy", "product", "launch", "wait", "read", "operation", "build"))

    def test_table(self, run, monkeypatch):
        monkeypatch.setattr(bench, "measure", lambda device: Limits(copy=12.34e9, product=56.78e9))
        monkeypatch.setattr(bench, "costs", lambda device: Costs(launch=1.5e-6, wait=2.5e-6, read=3.5e-6, operation=4.5e-6, build=0.125))
        result = run("bench")
        assert result.exit_code == 0
        for text in ("cpu(0)", "12.3 GB/s", "56.8 GFLOP/s", "1.5 us", "2.5 us", "3.5 us", "4.5 us", "125 ms"):
            assert text in result.stdout

    def test_no_such_device(self, run):
        result = run("bench", "--device", "tpu")
        assert result.exit_code == 1 and "a context is given as cpu, gpu" in result.stderr


def test_what_a_device_reaches_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("CLND_CACHE", str(tmp_path))
    device = clnd.cpu().device
    monkeypatch.setattr(limits, "_known", {})
    measured = limits.limits(device)
    monkeypatch.setattr(limits, "_known", {})
    monkeypatch.setattr(limits, "measure", lambda device: pytest.fail("measured again"))
    assert limits.limits(device) == measured
    (file,) = (tmp_path / "measured").iterdir()
    file.write_text("{damaged")
    monkeypatch.setattr(limits, "_known", {})
    monkeypatch.setattr(limits, "measure", lambda device: "anew")
    assert limits.limits(device) == "anew"
