"""Samples of the memory, threads and open files of the servers."""

import asyncio
import dataclasses
import statistics
import time

from .. import processes

INTERVAL = 3
# A server may have grown by this much between the first minutes and the last ones.
GROWTH = {"rss": (1.10, 3.0), "files": (1.0, 8), "threads": (1.0, 1)}
# Before this many seconds, caches and connections are still being filled.
LONG_ENOUGH = 600


@dataclasses.dataclass
class Sample:
    station: str
    instance: int
    pid: int
    at: float
    age: float
    pss: float
    rss: float
    threads: int
    files: int


def take(station, instance, now):
    pid = instance.pid
    folder = processes.PROC / str(pid)
    status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
    rss = int(status["VmRSS"].split()[0]) / 1024
    files = sum(1 for _ in (folder / "fd").iterdir())
    age = now - instance.started
    return Sample(
        station.name, instance.number, pid, now, age, processes.pss_mib([pid]), rss, int(status["Threads"]), files
    )


async def watch(stations, samples):
    """Takes samples until it is cancelled. Complains if a server has ended by itself."""
    while True:
        await asyncio.sleep(INTERVAL)
        for station in stations:
            for instance in station.instances:
                server = instance.server
                if not server or not instance.address:
                    continue
                if server.process.poll() is not None and not instance.expected_end:
                    tail = server.log_tail(rb"")
                    station.violate(
                        "ended", f"instance {instance.number} ended with {server.process.returncode}: {tail}"
                    )
                    instance.forget()
                    await instance.start()
                    continue
                try:
                    samples.append(await asyncio.to_thread(take, station, instance, time.monotonic()))
                    # The log is in memory, so it must not become long.
                    if instance.server is server and server.log_size() > 32 << 20:
                        server.forget_log()
                except (OSError, KeyError, AttributeError):
                    continue


def growth(samples, station, since, until):
    """For each instance: the medians of a window after the first minutes, and of the last minutes."""
    length = until - since
    for instance in sorted({sample.instance for sample in samples if sample.station == station.name}):
        own = [sample for sample in samples if (sample.station, sample.instance) == (station.name, instance)]
        pids = {sample.pid for sample in own if since <= sample.at <= until}
        first = [s for s in own if 0.10 * length <= s.at - since <= 0.25 * length]
        last = [s for s in own if 0.85 * length <= s.at - since <= length]
        if len(pids) != 1 or not first or not last:
            yield instance, None
            continue
        yield (
            instance,
            {
                what: tuple(round(statistics.median(getattr(s, what) for s in part), 1) for part in (first, last))
                for what in ("pss", "rss", "threads", "files")
            },
        )


def too_much(what, first, last):
    factor, addend = GROWTH.get(what, (float("inf"), 0))
    return last > max(first * factor, first + addend)
