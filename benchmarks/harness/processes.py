"""Functions of benchmarks in processes of their own."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

_ROOT = Path(__file__).parents[2]
_END_SECONDS = 5.0  # that a process gets to end what it started
_START_SECONDS = 20.0  # to start, to import, and to read the data
_RESULT, _ERROR, _END = "result", "error", "end"  # what a process sends


class CutOff(Exception):
    """A call that its limit ended, or that ended its process."""


def fresh(
    module: str, call: str, *, python: str | Path = sys.executable, limit: float | None = None
) -> Any:
    """Return what a call of a function of ``benchmarks.<module>`` returns in a fresh process.

    Parameters
    ----------
    module, call : str
        What the call returns is brought here as JSON.
    python : path
        The interpreter, which may be of another environment.
    limit : float, optional
        Seconds, with those that the process needs to start. It gets a SIGTERM then, and a few
        seconds to end what it started.

    Raises
    ------
    CutOff
        It took longer, ran out of memory, or its process crashed.
    RuntimeError
        It raised an exception, whose traceback this is.
    """
    code = (
        "import importlib, json, sys\n"
        "out, sys.stdout = sys.stdout, sys.stderr\n"  # what others print goes elsewhere
        f"module = importlib.import_module('benchmarks.{module}')\n"
        f"print(json.dumps(module.{call}), file=out)"
    )
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [python, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    ) as process:
        try:
            out, error = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            _end(process)
            raise CutOff(f"cut off at {limit:g} s") from None
        except BaseException:
            _end(process)
            raise
    last = error.rstrip().rpartition("\n")[2].partition(":")[0]
    if process.returncode < 0 or (process.returncode and last.endswith(MemoryError.__name__)):
        raise CutOff("its process ended (out of memory or a crash)")
    if process.returncode:
        raise RuntimeError(error)
    return json.loads(out.splitlines()[-1])


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process that leads a session, and the others of it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def within(limit: float, call: Callable[..., Any], *arguments: Any, blas: int | None = 1) -> Any:
    """Return what a call returns in a process of its own, which is ended at a limit of seconds.

    Parameters
    ----------
    limit : float
        Seconds, beside those that the process needs to start.
    call : callable
        A function of a module, with what it returns picklable.
    *arguments : object
        Picklable.
    blas : int or None, default=1
        Threads of the BLAS: with several it is slower beside others. None: as many as it likes.

    Raises
    ------
    CutOff
        It took longer, ran out of memory, or its process crashed.
    RuntimeError
        It raised an exception, whose text this is.
    """
    with closing(each_within(limit, _alone, call, *arguments, blas=blas)) as results:
        return next(results)


def _alone(call: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    yield call(*arguments)


def each_within(
    limit: float, call: Callable[..., Iterator[Any]], *arguments: Any, blas: int | None = 1
) -> Generator[Any, None, None]:
    """Yield what an iterator yields in a process of its own, with the limit for each in turn.

    Parameters and exceptions are those of :func:`within`; what came before one was yielded.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_send, args=(there, blas, call, arguments))
    process.start()
    there.close()
    patience = limit + _START_SECONDS
    try:
        while True:
            if not here.poll(patience):
                raise CutOff(f"cut off after {limit:g} s")
            what, result = here.recv()
            if what == _END:
                return
            if what == _ERROR and result.startswith(MemoryError.__name__):
                raise CutOff(result)
            if what == _ERROR:
                raise RuntimeError(result)
            yield result
            patience = limit
    except EOFError:
        raise CutOff("its process ended (out of memory or a crash)") from None
    finally:
        process.kill()
        process.join()
        here.close()


def _send(pipe: Any, blas: int | None, call: Callable[..., Any], arguments: Any) -> None:
    with threadpool_limits(blas, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for result in call(*arguments):
                pipe.send((_RESULT, result))
            last = _END, ""
        except Exception as error:
            last = _ERROR, f"{type(error).__name__}: {error}"
    pipe.send(last)
