"""Settings of the process are changed back, whatever interrupts."""

import dis
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from fastlogreg.backends import limits
from fastlogreg.backends.limits import one_blas_thread

BLAS = ThreadpoolController().select(user_api="blas")


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        yield


def counts():
    return [library.num_threads for library in BLAS.lib_controllers]


def limited():
    limit = one_blas_thread()
    with limit, limit:
        return counts()


def nested(_):
    outer, inner = one_blas_thread(), one_blas_thread()
    with outer, outer, inner, inner:
        pass
    return counts()


def test_the_blas_gets_its_threads_back():
    before = counts()
    assert set(limited()) <= {1}
    assert counts() == before
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(nested, range(20)))
    assert counts() == before


# The interpreter looks for Ctrl-C at a function's start, after a call, and where a loop turns.
CALLS = ("CALL", "CALL_FUNCTION_EX")


def interrupted_at(step):
    """Raise KeyboardInterrupt at a step of entering, or of leaving; return whether it came."""
    left, last = step, {}

    def trace(frame, event, argument):
        nonlocal left
        code = frame.f_code
        if code.co_filename != limits.__file__:
            return trace
        frame.f_trace_opcodes = True
        at = dis.opname[code.co_code[frame.f_lasti]]
        looks = at == "JUMP_BACKWARD" or last.get(frame) in CALLS
        if event == "opcode":
            last[frame] = at
        if event == "call" or (event == "opcode" and looks):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        limited()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return left <= 0


def test_an_interrupt_between_any_two_steps_leaves_the_blas_its_threads():
    before = counts()
    steps = 0
    while interrupted_at(steps + 1):
        steps += 1
        assert counts() == before, steps
        assert set(limited()) <= {1}
        assert counts() == before, steps
    assert steps > 20
