"""Processes that fork, spawn, end and are interrupted: an error at once where it cannot work, and no process that hangs or makes noise."""

import os

import pytest

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")

FORK = """
import os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of the very thing
import numpy as np
import clnd as mx
from clnd import autograd, engine, nd
from clnd.engine import plan

def child_ends(uses):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        for use in uses:
            try:
                use()
            except mx.MXNetError as error:
                if "forked" not in str(error) or "spawn" not in str(error):
                    os._exit(3)
            else:
                os._exit(4)
        sys.exit(0)  # through all finalizers
    for _ in range(600):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    return "hangs"

x = nd.ones((1000, 100))
x.wait_to_read()
waiting = x + 1
shown = np.from_dlpack(x * 2)
USES = [
    lambda: waiting.asnumpy(), lambda: x.asnumpy(), lambda: nd.array([1, 2]), lambda: nd.ones((3,)).wait_to_read(),
    lambda: x.__setitem__(0, 1), lambda: mx.random.normal(shape=(3,)).wait_to_read(), lambda: mx.num_gpus(),
]

print(child_ends(USES))

for i in range(30):  # launches and writes that nobody has waited for
    product = nd.dot(x, nd.ones((100, 100)))
    engine.evaluate(product.value)
    held = [nd.array(np.ones(10)) for _ in range(20)]
print(child_ends(USES))

stop, started = threading.Event(), threading.Barrier(2)
def compute():
    started.wait()
    while not stop.is_set():
        (nd.dot(x, nd.ones((100, 100))) + 1).asnumpy()
thread = threading.Thread(target=compute)
thread.start()
started.wait()
print(child_ends([*USES, lambda: os._exit(0)]))  # as multiprocessing's children end
stop.set()
thread.join()
print(float(waiting.sum().asscalar()), float(product.sum().asscalar()), shown[0, 0])
"""


@posix
def test_a_forked_child_gets_an_error_at_once_and_ends_whatever_the_parent_was_doing(run):
    done = run(FORK)
    assert (done.returncode, done.stdout.split()) == (0, ["0"] * 3 + ["200000.0", "10000000.0", "2.0"]), done.stderr
    assert done.stderr == ""


LOADER = """
import multiprocessing, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import clnd as mx
from clnd import nd

def batch(number):  # a worker that makes a batch with NumPy, as DataLoaders do
    return np.full((4, 3), number, np.float32)

def computes(number):  # one that computes with clnd
    return float((nd.ones((4,)) * number).sum().asscalar())

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[1] == "fork":  # before the first array
        with context.Pool(2) as pool:
            print(pool.map(computes, range(3)))
    (nd.ones((3,)) + 1).wait_to_read()
    with context.Pool(2) as pool:
        total = nd.zeros((4, 3))
        for got in pool.imap(batch, range(6)):
            total += nd.array(got)
        print(float(total.sum().asscalar()))
        try:
            print(pool.map(computes, range(3)))
        except mx.MXNetError as error:
            print("forked" in str(error))
"""


@pytest.mark.parametrize("how", ["spawn", pytest.param("fork", marks=posix)])
def test_pools_of_workers(run, tmp_path, how):
    """Spawned ones compute; forked ones before the first array too, and after it they serve for NumPy."""
    script = tmp_path / "loader.py"
    script.write_text(LOADER)
    done = run(f"import sys, runpy; sys.argv = ['loader', {how!r}]; runpy.run_path({str(script)!r}, run_name='__main__')")
    computed = "[0.0, 4.0, 8.0]\n"
    expected = f"180.0\n{computed}" if how == "spawn" else f"{computed}180.0\nTrue\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


EXIT = """
import sys, threading, time
import numpy as np
import clnd as mx
from clnd import autograd, engine, nd

def work():
    x = nd.ones((300, 300))
    x.attach_grad()
    with autograd.record():
        y = x
        for _ in range(20):
            y = nd.dot(y, x) * 0.01
    y.backward()
    waits = y + 1
    cycle = [waits, nd.array([1, 2]), x.grad]
    cycle.append(cycle)
    return cycle

class Late:
    def __init__(self):
        self.array = nd.ones((3,))

    def __del__(self):  # at the very end of the interpreter
        self.array = None

def daemon():
    started.set()
    while True:
        work()

kept, late = work(), Late()
late.itself = late
started = threading.Event()
ordinary = threading.Thread(target=lambda: [work() for _ in range(5)])
ordinary.start()
if %r:
    threading.Thread(target=daemon, daemon=True).start()
    started.wait()
tape = autograd.record()
tape.__enter__()
on_tape = nd.tanh(kept[0])
%s
"""


@pytest.mark.parametrize(
    ("daemon", "end", "status"),
    [(True, "sys.exit(5)", 5), (False, "raise ValueError('mine')", 1)],
)
def test_a_process_ends_with_work_waiting_and_in_threads(run, daemon, end, status):
    done = run(EXIT % (daemon, end))
    assert done.returncode == status, done.stderr
    noise = [
        line for line in done.stderr.splitlines() if line and not line.startswith(("Traceback", '  File "<string>"', "ValueError: mine"))
    ]
    assert noise == []


INTERRUPT = """
import logging, os, signal, sys, threading, time
import clnd as mx
from clnd import autograd, nd
from clnd.opencl import program

def interrupts(work, when):
    def send():
        when.wait(250)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        work()
    except KeyboardInterrupt:
        said = "interrupted"
    else:
        said = "not interrupted"
    thread.join()
    print(said, autograd.is_recording(), (nd.ones((3,)) + 1).asnumpy().tolist())

x = nd.ones((4, 4))
x.attach_grad()
(nd.ones((3,)) + 1).wait_to_read()

class Said(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), file=sys.stderr)
        said.set()

logging.getLogger("clnd").addHandler(Said())
said, ends = threading.Event(), threading.Event()
os.environ["CLND_CACHE"] = ""
plainly = program.interruptible

def slow(build, still):  # a compiler that takes until it is told to end
    def builds():
        ends.wait(250)
        build()
    plainly(builds, still)

program._PATIENCE = 0.01
program.interruptible = slow
interrupts(lambda: nd.arccosh(x * 2 + 1.5).wait_to_read(), said)
ends.set()
program.interruptible = plainly
program._PATIENCE = 1000

def long():  # a wait, which ends when the device is done
    product = nd.ones((1000, 1000))
    with autograd.record():
        for _ in range(20):
            product = nd.dot(product, product) * 0.001
        started.set()
        product.wait_to_read()
        for _ in range(10_000):
            product = product + 1
started = threading.Event()
interrupts(long, started)
y = nd.arccosh(x * 2 + 1.5)
print(round(float(y.asnumpy()[0, 0]), 4))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_in_a_compile_and_in_a_wait(run):
    done = run(INTERRUPT)
    lines = ["interrupted False [2.0, 2.0, 2.0]", "interrupted False [2.0, 2.0, 2.0]", "1.9248"]
    assert (done.returncode, done.stdout.splitlines()) == (0, lines), done.stderr
    assert done.stderr.count("the driver is still compiling kernel ") == 1
    assert "Ctrl-C ends the wait" in done.stderr
