"""Runs the `clnd` command as ``python -m clnd``."""

from clnd.cli import main

main()
