"""Resident memory of a process, now and at its highest; where there is no /proc, None.

``resource.getrusage`` won't do: a child's peak there begins at its parent's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOW, PEAK = "VmRSS", "VmHWM"


def resident(field: str, process: int | str = "self") -> int | None:
    """Return bytes resident (:data:`NOW`) or the most so far (:data:`PEAK`)."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    line = next((each for each in lines if each.startswith(field)), None)
    return None if line is None else int(line.split()[1]) * 1024


def reset_peak() -> bool:
    """Let the peak begin anew at what is resident now; return whether that could be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def anonymous_mb() -> float:
    """Return the anonymous resident memory of this process: not the pages of mapped files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon in /proc/self/status: Linux only")


@contextmanager
def anonymous_peak() -> Iterator[list[float]]:
    """Watch the anonymous memory of this process; the list holds its peak so far, in MB."""
    peak, done = [anonymous_mb()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
