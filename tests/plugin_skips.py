"""Pytest plugin of `.ci/run`: a skipped test fails the run unless `allowed_skips.txt` names it.

A test that is skipped checks nothing, and a suite can come to skip itself bit by bit without anybody noticing. Each line of
`allowed_skips.txt` is a pattern of node ids, two spaces or more, and the reason; a line that matches no skip says nothing, since the device
decides which tests are skipped. Expected failures are not skips: pytest reports them by itself and `xfail_strict` watches them.
"""

from __future__ import annotations  # pytest 8.2 has no pytest.TerminalReporter

import fnmatch
import re
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def allowed_patterns() -> list[str]:
    lines = (line.strip() for line in ALLOWED.read_text(encoding="utf-8").splitlines())
    patterns = []
    for line in lines:
        if not line or line.startswith("#"):
            continue
        pattern, *reason = re.split(r"\s{2,}", line, maxsplit=1)
        if not reason:
            raise pytest.UsageError(f"{ALLOWED.name}: {line!r} gives no reason: write the pattern, two spaces, the reason")
        patterns.append(pattern)
    return patterns


class SkipWatch:
    """Collects skipped tests and turns a passed run into a failed one when a skip is not listed."""

    def __init__(self) -> None:
        self.patterns = allowed_patterns()
        self.unlisted: list[str] = []

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        # A pattern is plain text with `*`; the brackets of a node id are no character class.
        if not any(fnmatch.fnmatchcase(report.nodeid, pattern.replace("[", "[[]")) for pattern in self.patterns):
            self.unlisted.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unlisted:
            terminalreporter.section("skips that are not allowed", red=True)
            for nodeid in sorted(set(self.unlisted)):
                terminalreporter.line(nodeid)
            terminalreporter.line(f"Make them run, or name them and the reason in tests/{ALLOWED.name}.")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipWatch(), "clnd-skip-watch")
