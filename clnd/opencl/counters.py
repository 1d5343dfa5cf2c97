"""What this process has done so far, for tests and reports."""

from __future__ import annotations


class Counters:
    """Counts since the start or the last reset.

    Attributes
    ----------
    launches
        Kernels put into a queue.
    compilations
        Programs that a driver compiled from source.
    loaded
        Programs loaded from disk.
    renders
        Sources rendered from a template.
    undeclared
        Programs that a driver did not compile with the declarations of `clnd.opencl.builtins`, only without.

    Examples
    --------
    >>> Counters()
    <launches 0, compilations 0, loaded 0, renders 0>
    """

    __slots__ = ("compilations", "launches", "loaded", "renders", "undeclared")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set all of them to zero."""
        self.launches = 0
        self.compilations = 0
        self.loaded = 0
        self.renders = 0
        self.undeclared = 0

    def __repr__(self) -> str:
        return f"<launches {self.launches}, compilations {self.compilations}, loaded {self.loaded}, renders {self.renders}>"


counters = Counters()
