import gc
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnd.errors import MXNetError
from clnd.opencl import memory
from clnd.opencl.memory import MemoryPool, size_class

KIB = 1 << 10
MIB = 1 << 20


@given(st.integers(1, 1 << 44))
def test_a_class_holds_the_request_and_wastes_at_most_a_quarter(nbytes):
    size = size_class(nbytes)
    assert nbytes <= size
    assert size <= max(256, nbytes * 1.25)
    assert size % 64 == 0
    assert size_class(size) == size


def test_between_two_powers_of_two_there_are_four_steps():
    assert sorted({size_class(nbytes) for nbytes in range(1025, 2049)}) == [1280, 1536, 1792, 2048]


@pytest.fixture
def small(device):
    """A device that says it has one MiB, half of it at most in one piece."""
    device.traits = replace(device.traits, memory=MIB, max_allocation=MIB // 2)
    device.memory = MemoryPool(device)
    return device


def test_the_account_follows_buffers(device):
    pool = device.memory
    first, second = device.allocate(1000), device.allocate(100)
    assert (first.size, second.size) == (1000, 100)
    assert first.device is device
    assert first.cl.size >= 1000
    assert (pool.used, pool.free, pool.held, pool.live) == (1024 + 256, 0, 1024 + 256, 2)
    del first
    assert (pool.used, pool.free, pool.held, pool.live) == (256, 1024, 1024 + 256, 1)
    assert pool.drop_free() == 1024
    assert (pool.used, pool.free, pool.held, pool.live) == (256, 0, 256, 1)
    assert pool.peak == 1024 + 256


def test_a_block_is_used_again(device):
    buffer = device.allocate(1000)
    block = buffer.cl
    del buffer
    assert device.allocate(900).cl is block
    assert device.memory.held == 1024


def test_too_large_in_one_piece(small):
    with pytest.raises(MXNetError, match=r"524,289 bytes is more than the device takes in one piece, 524,288 bytes"):
        small.allocate(MIB // 2 + 1)
    assert small.memory.held == 0


def test_a_class_is_no_larger_than_the_largest_piece(small):
    small.traits = replace(small.traits, max_allocation=300 * KIB)
    small.memory = MemoryPool(small)
    buffer = small.allocate(300 * KIB)
    assert buffer.cl.size == 300 * KIB
    block = buffer.cl
    del buffer
    assert small.allocate(290 * KIB).cl is block
    with pytest.raises(MXNetError, match="in one piece"):  # the free block has no room for it
        small.allocate(301 * KIB)


def test_free_blocks_go_when_memory_is_short(small):
    buffers = [small.allocate(128 * KIB) for _ in range(8)]
    del buffers
    assert small.memory.free == MIB
    large = small.allocate(512 * KIB)
    assert large.size == 512 * KIB
    assert small.memory.held == 512 * KIB


def test_cycles_go_when_memory_is_short(small):
    gc.disable()
    try:
        cycle = [small.allocate(512 * KIB), small.allocate(512 * KIB)]
        cycle.append(cycle)
        del cycle
        assert small.memory.used == MIB
        assert small.allocate(512 * KIB).size == 512 * KIB
    finally:
        gc.enable()


def test_exhaustion_says_what_holds_the_memory(small):
    held = [small.allocate(256 * KIB) for _ in range(3)] + [small.allocate(1000)]
    with pytest.raises(MXNetError) as caught:
        small.allocate(400_000)
    text = str(caught.value)
    assert str(small) in text
    assert "400,000 bytes" in text
    assert "787,456 bytes of 1,048,576 are used, by 4 buffers" in text
    assert "787,432 bytes in 4 for unknown" in text
    held.pop(0)
    assert small.allocate(200_000).size == 200_000


def test_a_device_in_the_hosts_memory_has_what_the_host_has_left(device, monkeypatch):
    monkeypatch.setattr(memory, "_RESERVE", 0)
    device.traits = replace(device.traits, unified_memory=True, memory=1 << 40)
    device.memory = MemoryPool(device)
    monkeypatch.setattr(memory, "available_memory", lambda: 32 * KIB)
    assert device.memory.limit == 31 * KIB
    first = device.allocate(16 * KIB)
    with pytest.raises(MXNetError, match="no memory for an array of 40,000 bytes"):
        device.allocate(40_000)
    monkeypatch.setattr(memory, "available_memory", lambda: 64 * KIB)
    assert device.allocate(40_000).size == 40_000
    assert first.size == 16 * KIB


def test_the_hosts_memory_is_asked_again_for_a_large_block(device, monkeypatch):
    device.traits = replace(device.traits, unified_memory=True, memory=1 << 40)
    device.memory = MemoryPool(device)
    assert device.memory.limit > 4 * MIB
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * MIB)
    with pytest.raises(MXNetError, match="no memory"):
        device.allocate(4 * MIB)


def test_something_stays_for_the_interpreter_however_often_it_is_asked(device, monkeypatch):
    device.traits = replace(device.traits, unified_memory=True, memory=1 << 40)
    device.memory = MemoryPool(device)
    monkeypatch.setattr(memory, "available_memory", lambda: 40 * MIB - device.memory.held)
    held = []
    for _ in range(3):
        with pytest.raises(MXNetError, match="no memory for an array"):
            while True:
                held.append(device.allocate(MIB))
        assert 7 <= len(held) <= 8


def test_small_blocks_ask_the_host_too(device, monkeypatch):
    monkeypatch.setattr(memory, "_RESERVE", 0)
    device.traits = replace(device.traits, unified_memory=True, memory=1 << 40)
    device.memory = MemoryPool(device)
    held = [device.allocate(300 * KIB)]
    monkeypatch.setattr(memory, "available_memory", lambda: MIB)  # something else takes the rest
    with pytest.raises(MXNetError, match=r"no memory.*the host has 1,015,808 bytes left"):
        while len(held) < 8:
            held.append(device.allocate(300 * KIB))
    assert len(held) <= 3


@pytest.mark.parametrize(
    ("text", "limit"), [("1000000", 1_000_000), ("8G", 8 << 30), ("512MiB", 512 * MIB), (" 1.5 kb ", 1536), ("", None), ("2T", 2 << 40)]
)
def test_a_limit_of_ones_own(device, reopen, monkeypatch, text, limit):
    monkeypatch.setenv("CLND_MEMORY_LIMIT", text)
    assert memory.memory_limit() == limit
    pool = reopen(device).memory
    assert pool.limit <= pool.most == min(limit or device.traits.memory, device.traits.memory)


@pytest.mark.parametrize("text", ["much", "-1", "0", "1e9", "8 G G", "0.0001", "GB", "0x10", "\u0661"])
def test_a_limit_that_is_none(device, reopen, monkeypatch, text):
    monkeypatch.setenv("CLND_MEMORY_LIMIT", text)
    with pytest.raises(MXNetError, match=f"CLND_MEMORY_LIMIT={text}: this is no number of bytes"):
        reopen(device)


def test_a_device_with_its_own_memory_does_not_ask_the_host(device, monkeypatch):
    device.traits = replace(device.traits, unified_memory=False, memory=MIB)
    device.memory = MemoryPool(device)
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    buffer = device.allocate(4096)
    assert buffer.size == 4096
    assert device.memory_info() == (MIB - 4096, MIB)


def test_free_blocks_do_not_pile_up(device, monkeypatch):
    monkeypatch.setattr(memory, "_SPARE", 64 * KIB)
    for size in range(1, 64):
        device.allocate(size * 4 * KIB)
    assert device.memory.free <= 64 * KIB + 252 * KIB


def test_memory_info(device):
    free, total = device.memory_info()
    assert 0 < free <= total == device.traits.memory


def test_threads_allocate_and_free_at_once(device):
    def work():
        for size in range(1, 200):
            buffers = [device.allocate(size * 16) for _ in range(3)]
            assert len({id(buffer.cl) for buffer in buffers}) == 3

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert device.memory.live == 0
    assert device.memory.used == 0
    assert device.memory.held == device.memory.free


def test_buffers_alive_at_exit_do_no_harm(run):
    done = run(
        "import clnd.opencl as o\n"
        "device = (*o.cpu_devices(), *o.gpu_devices())[0]\n"
        "buffer = device.allocate(100); cycle = [device.allocate(100)]; cycle.append(cycle)\n"
        "device.finish(); print(device.memory.live)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
