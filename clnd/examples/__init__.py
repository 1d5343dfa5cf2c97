"""Programs to run and to read: ``python -m clnd.examples.tutorial``, ``python -m clnd.examples.digits``."""
