"""Resident memory of this process, now and at its highest; where there is no /proc, None.

``resource.getrusage`` won't do: a child's peak there begins at its parent's.
"""

from pathlib import Path

NOW, PEAK = "VmRSS", "VmHWM"


def resident(field: str) -> int | None:
    """Return bytes resident (:data:`NOW`) or the most so far (:data:`PEAK`)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
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
