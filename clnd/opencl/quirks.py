"""What drivers were found to do wrong, and how clnd meets it: `clnd doctor` tells it of those that are here."""

from __future__ import annotations

from typing import NamedTuple


class Quirk(NamedTuple):
    """One thing that drivers do otherwise than OpenCL says, or than one would hope.

    Attributes
    ----------
    drivers
        Parts of the names of their platforms, in whatever letters; none where it is so on every one tried.
    does
        What they do.
    met
        What clnd does about it.
    where
        The file, of clnd or of its templates.
    """

    drivers: tuple[str, ...]
    does: str
    met: str
    where: str


POCL, INTEL, MESA, ORACLE = "Portable Computing Language", "Intel(R) OpenCL", "rusticl", "Oclgrind"  # platforms' names
QUIRKS = (
    Quirk((POCL,), "lists a device that its compiler (3.0: LLVM 14) is too old for", "each device builds a kernel once", "opencl/trial.py"),
    Quirk((POCL,), "3.0 takes a Zen 4 for a Zen 3, and dies of its vectors", "tries them in another process", "opencl/trial.py"),
    Quirk((INTEL,), "PyPI's .icd files name a path that is not there", "writes files that do, for the loader", "opencl/drivers.py"),
    Quirk((POCL, INTEL), "grant more memory than there is, and are killed when it is written", "keeps account", "opencl/memory.py"),
    Quirk((POCL, MESA), "hang in a process forked after they were used", "a forked process gets an error", "opencl/devices.py"),
    Quirk((), "refuse a buffer of no bytes", "empty arrays never reach them", "opencl/memory.py"),
    Quirk((), "contract x * y + z to one rounding, unless told", "FP_CONTRACT is off but for products", "templates/common.cl.mako"),
    Quirk((POCL,), "a built-in of a vector and of a number differ in the last bit", "tails are vectors", "templates/common.cl.mako"),
    Quirk((POCL,), "vload, vstore and fma are calls", "vectors go through pointers, sums are contracted", "templates/matmul.cl.mako"),
    Quirk((POCL,), "halves wide vectors where no function takes one", "a function multiplies", "templates/matmul.cl.mako"),
    Quirk((POCL,), "fmod of vectors of doubles never ends for an infinite divisor", "goes by lanes", "templates/functions.cl.mako"),
    Quirk((POCL,), "sin of small floats beside large ones is wrong", "has a sine of its own", "templates/functions.cl.mako"),
    Quirk((POCL,), "tanh never comes to 1", "has one of its own", "templates/functions.cl.mako"),
    Quirk((POCL,), "reads 18,000 lines of declarations for every program", "sources declare what they call", "opencl/builtins.py"),
    Quirk((POCL,), "compiles a kernel twice where its binary is asked for", "keeps the source", "opencl/program.py"),
    Quirk((POCL,), "counts its compiler's warnings in the terminal", "asks for none", "opencl/program.py"),
    Quirk((POCL, MESA), "end the process where the disk is full that they keep things on", "looks for room first", "opencl/drivers.py"),
    Quirk((INTEL,), "makes vectors of work-items that are vectors already, slowly", "tells it by vec_type_hint", "opencl/source.py"),
    Quirk((INTEL,), "keeps five times as much memory of what it compiled as of what it loaded", "loads it again", "opencl/program.py"),
    Quirk((INTEL,), "makes two sums of one that a loop adds up", "tells loops of sums not to be vectors", "templates/resample.cl.mako"),
    Quirk((MESA,), "ends all loops of a work-item after 65,535 rounds, silently", "bounds the rounds of launches", "engine/launch.py"),
    Quirk((MESA,), "compares widened ints with constants wrongly", "widens by shifts", "engine/code.py"),
    Quirk((MESA,), "has neither doubles nor denormals", "refuses float64; accuracy is stated without denormals", "opencl/traits.py"),
    Quirk((MESA,), "gives launches times that mean nothing", "nothing; profile on another driver", "profiler.py"),
    Quirk((ORACLE,), "claims to be a CPU, a GPU and an accelerator", "takes it for a CPU", "opencl/devices.py"),
)


def of_platform(platform: str) -> list[Quirk]:
    """List what is known of a platform's driver and of no other kind of driver.

    Examples
    --------
    >>> [quirk.where for quirk in of_platform("Oclgrind")]
    ['opencl/devices.py']
    """
    return [quirk for quirk in QUIRKS if any(part.casefold() in platform.casefold() for part in quirk.drivers)]
