"""Runs the `clnd` command as ``python -m clnd.cli``."""

from clnd.cli import main

main()
