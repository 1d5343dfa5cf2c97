"""All of clnd that talks to OpenCL: drivers, devices, memory, programs. Nothing here touches a driver before a device is asked for."""

from clnd.opencl.counters import counters
from clnd.opencl.device import Device, Listener
from clnd.opencl.devices import Candidate, candidates, cpu_devices, find_device, forget_trials, gpu_devices, open_devices
from clnd.opencl.kernel import Bound, Kernel
from clnd.opencl.memory import Buffer, MemoryPool
from clnd.opencl.program import cache_entries, clear_cache
from clnd.opencl.running import Call, event_times, running
from clnd.opencl.traits import Traits

__all__ = [
    "Bound",
    "Buffer",
    "Call",
    "Candidate",
    "Device",
    "Kernel",
    "Listener",
    "MemoryPool",
    "Traits",
    "cache_entries",
    "candidates",
    "clear_cache",
    "counters",
    "cpu_devices",
    "event_times",
    "find_device",
    "forget_trials",
    "gpu_devices",
    "open_devices",
    "running",
]
