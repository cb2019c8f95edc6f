"""Processes in /proc: their names, CPU time and memory."""

import os
import pathlib
import threading

PROC = pathlib.Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def _numbers(folder):
    return [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()]


def _stat(pid):
    """The name of a process and the fields after it, from the parent's id on; `None` if it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(") ")
    return name, rest.split()[1:]


def tree(*roots):
    """These processes and all their descendants."""
    children = {}
    for pid in _numbers(PROC):
        if found := _stat(pid):
            children.setdefault(int(found[1][0]), []).append(pid)
    members, waiting = set(), list(roots)
    while waiting:
        pid = waiting.pop()
        members.add(pid)
        waiting += children.get(pid, [])
    return members


def named(name):
    """All processes of that name."""
    return {pid for pid in _numbers(PROC) if (_stat(pid) or ("",))[0] == name}


def listeners(port):
    """The processes that listen on a TCP port."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    return {pid for pid in _numbers(PROC) if sockets & set(_open_files(pid))}


def _open_files(pid):
    try:
        for file in (PROC / str(pid) / "fd").iterdir():
            yield str(file.readlink())
    except OSError:
        return


def cpu_seconds(pids):
    """CPU time of all their threads, in nanosecond resolution, and of their ended children."""
    total = 0.0
    for pid in pids:
        try:
            for thread in (PROC / str(pid) / "task").iterdir():
                total += int((thread / "schedstat").read_text().split()[0]) / 1e9
            total += sum(map(int, _stat(pid)[1][12:14])) / TICKS
        except (OSError, TypeError):
            continue
    return total


def busy_seconds():
    """CPU time of the whole machine, including the time that a hypervisor took."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, (PROC / "stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def pss_mib(pids):
    """Their memory. Each process that shares a page counts a part of it (PSS)."""
    total = 0
    for pid in pids:
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class Peak(threading.Thread):
    """The maximum memory of processes during a `with`."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.mib, self.over = pids, 0.0, threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            self.mib = max(self.mib, pss_mib(self.pids))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.mib = max(self.mib, pss_mib(self.pids))
