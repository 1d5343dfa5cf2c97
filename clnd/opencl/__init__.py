"""All of clnd that talks to OpenCL: drivers, devices, memory, programs. Nothing here touches a driver before a device is asked for."""

from clnd.opencl.counters import counters
from clnd.opencl.device import Device, Listener
from clnd.opencl.devices import Candidate, candidates, cpu_devices, find_device, forget_trials, gpu_devices, open_devices
from clnd.opencl.kernel import Bound, Kernel
from clnd.opencl.memory import Buffer, Holding, MemoryPool, holdings, never
from clnd.opencl.program import cache_entries, clear_cache
from clnd.opencl.running import Call, Site, describe_site, event_times, running
from clnd.opencl.traits import Traits

__all__ = [
    "Bound",
    "Buffer",
    "Call",
    "Candidate",
    "Device",
    "Holding",
    "Kernel",
    "Listener",
    "MemoryPool",
    "Site",
    "Traits",
    "cache_entries",
    "candidates",
    "clear_cache",
    "counters",
    "cpu_devices",
    "describe_site",
    "event_times",
    "find_device",
    "forget_trials",
    "gpu_devices",
    "holdings",
    "never",
    "open_devices",
    "running",
]
