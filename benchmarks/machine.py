"""Where and when a figure was taken: commit, date, processor, memory, file system, versions."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def describe(folder: Path) -> dict[str, object]:
    """Everything that a figure depends on, for the JSON beside it. `folder` is where the data lies."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": " ".join(sys.argv),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "file_system": file_system(folder),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("blake3", "bagit", "fsspec", "h5py", "rosettasciio")},
    }


def commit() -> str:
    """The commit of the checkout, with a plus sign when files differ from it; "unknown" outside a checkout."""
    if shutil.which("git") is None:
        return "unknown"
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=HERE, capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def processor() -> str:
    """Model name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> float | None:
    """Memory in GiB, where the system tells."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return None


def file_system(folder: Path) -> str:
    """Type of the file system that holds a folder, from the mount table; "unknown" where there is none."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    found = ("", "unknown")
    for line in mounts.read_text().splitlines():
        _, point, kind = line.split()[:3]
        if folder.resolve().is_relative_to(point) and len(point) > len(found[0]):
            found = (point, kind)
    return found[1]


def peak_memory() -> int | None:
    """Largest resident size of this process so far, in bytes.

    `VmHWM` where there is one: the `ru_maxrss` of a fresh program still holds its parent's size.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def used_below(process: int) -> tuple[float, float]:
    """CPU seconds so far of a process and all below it, and the largest peak memory of one of them, in bytes.

    Those of children that ended count, as soon as their parent has waited for them.
    """
    found = list(_processes(process))
    return sum(cpu for cpu, _ in found), max((peak for _, peak in found), default=0.0)


def _processes(process: int) -> Iterator[tuple[float, float]]:
    """CPU seconds and peak memory of each, where the system tells."""
    folder = Path(f"/proc/{process}")
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        lines = (folder / "status").read_text().splitlines()
        tasks = [(task / "children").read_text().split() for task in (folder / "task").iterdir()]
    except OSError:  # it has just ended, or the system has no such files
        return
    peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    yield sum(map(int, fields[11:15])) / _TICKS, peak * 1024.0
    for child in (child for children in tasks for child in children):
        yield from _processes(int(child))
