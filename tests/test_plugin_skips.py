"""The plugin that lets no test be skipped unnoticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import plugin_skips

TESTS = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="no device")
def test_skipped(): pass

@pytest.mark.xfail
def test_expected_failure(): assert False

@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.skip), 2])
def test_numbers(n): pass
"""


def run(folder: Path, allowed: str, tests: str = TESTS) -> subprocess.CompletedProcess[str]:
    (folder / "plugin_skips.py").write_text(Path(plugin_skips.__file__).read_text())
    (folder / "allowed_skips.txt").write_text(allowed)
    (folder / "test_some.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-p", "plugin_skips", "-p", "no:cacheprovider", "-p", "no:randomly", "test_some.py"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_an_unlisted_skip_fails_the_run(tmp_path):
    result = run(tmp_path, "*::test_skipped  there is no device\n")
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    named = result.stdout.partition("skips that are not allowed")[2]
    assert "test_some.py::test_numbers[1]" in named
    assert "test_some.py::test_skipped" not in named
    assert "test_expected_failure" not in named


def test_listed_skips_pass(tmp_path):
    result = run(tmp_path, "# comment\n\n*::test_skipped  there is no device\ntest_some.py::test_numbers[1]  one is too few\n")
    assert result.returncode == pytest.ExitCode.OK, result.stdout
    assert "2 passed, 2 skipped, 1 xfailed" in result.stdout


def test_a_module_skipped_at_collection_fails_the_run(tmp_path):
    result = run(tmp_path, "", "import pytest\npytest.skip('nothing here', allow_module_level=True)\n")
    assert result.returncode != pytest.ExitCode.OK


def test_a_failed_run_stays_failed(tmp_path):
    result = run(tmp_path, "*  all\n", "def test_fails(): assert False\n")
    assert result.returncode == pytest.ExitCode.TESTS_FAILED


def test_a_line_without_a_reason_is_refused(tmp_path):
    result = run(tmp_path, "*::test_skipped\n")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "gives no reason" in result.stderr
