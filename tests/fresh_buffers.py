"""Pytest plugin of `tools/portability.py` for Oclgrind: no buffer is used twice, so that a new one's elements count as unwritten."""

from clnd.opencl.memory import Buffer, MemoryPool

take = MemoryPool.allocate


def allocate(self: MemoryPool, nbytes: int) -> Buffer:
    self.drop_free()
    return take(self, nbytes)


MemoryPool.allocate = allocate  # type: ignore[method-assign]
