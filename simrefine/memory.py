"""How much memory there is to work in: a share of what the machine, or the container around the process, has.

The kernel's files are read as if anybody could have written them: what is no positive whole number says nothing.
"""

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

SHARE = 0.5  # of the memory of machine or container that is used unless told otherwise
FALLBACK = 4 * 2**30  # bytes, where nothing says how much there is
LEAST = 96 * 2**20  # bytes of working memory, however little is left: less makes tiles that are mostly overlap
MAX_FILE_BYTES = 2**16  # of a file of the kernel
MAX_NAME = 1024  # characters of a control group's; each folder in it is looked into
CONTROLLERS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def working_bytes(memory_gib: float | None) -> int:
    """What the process may take beside what it holds by now, at least LEAST.

    Args:
        memory_gib: what it may hold in all, GiB; None = SHARE of what there is.
    """
    total = SHARE * memory_bytes() if memory_gib is None else memory_gib * 2**30
    return max(LEAST, int(total) - resident_bytes())


def memory_bytes(groups: Path = OWN_GROUPS, controllers: Path = CONTROLLERS) -> int:
    """The memory of the machine, or the least that a control group of this process allows, of version 1 or 2.

    Args:
        groups: the file that names the process's control groups.
        controllers: the folder in which these are.
    """
    limits = [limit for file in _limit_files(groups, controllers) if (limit := _read_number(file))]
    with suppress(AttributeError, ValueError, OSError):  # a system that does not say
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((limit for limit in limits if limit > 0), default=FALLBACK)


def resident_bytes() -> int:
    """What of this process is in memory now; 0 where the system does not say."""
    try:
        return int(_read("/proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, IndexError, OSError):
        return 0


def _limit_files(groups: Path, controllers: Path) -> list[Path]:
    """The files that may hold a limit: of each group that the process is in, and of those around it. In a container the
    named group may be out of sight; its limit then stands at the root."""
    found = [controllers / "memory.max", controllers / "memory" / "memory.limit_in_bytes"]
    for line in _read(groups).splitlines():
        _, _, rest = line.partition(":")
        kinds, _, name = rest.partition(":")
        place = PurePosixPath(name.lstrip("/"))
        if len(name) > MAX_NAME or ".." in place.parts or "\0" in name:
            continue
        for folder in (place, *place.parents):
            if not kinds:
                found += [controllers / folder / file for file in ("memory.max", "memory.high")]
            elif "memory" in kinds.split(","):
                found.append(controllers / "memory" / folder / "memory.limit_in_bytes")
    return found


def _read_number(file: Path) -> int | None:
    """The positive whole number that a file holds; None for "max", for anything else, and where there is none."""
    text = _read(file).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _read(file: Path | str) -> str:
    """The text of a file of the kernel, which states no size; "" where it cannot be read."""
    try:
        with open(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as opened:
            return (opened.read(MAX_FILE_BYTES) or b"").decode("ascii", "replace")
    except OSError:
        return ""
