"""The faults. Each begins, lasts for some seconds, and is undone."""

import asyncio
import contextlib
import dataclasses
import errno
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable

from .. import users
from ..servers import SECRET
from .connection import Connection, LostError, Request
from .station import ANY, NOTHING, UNAVAILABLE


@dataclasses.dataclass(frozen=True)
class Fault:
    """`act` gets the station and the affected instances, and has undone the fault when it returns."""

    name: str
    explains: frozenset
    act: Callable
    # Whether it affects one instance, chosen at random, or all.
    single: bool = False
    restarts: bool = False


async def inflict(station, fault):
    chosen = [station.random.choice(station.instances)] if fault.single else station.instances
    async with station.suffer(fault.name, fault.explains, [instance.number for instance in chosen]):
        await fault.act(station, chosen)


def pause(station, shortest, longest):
    return asyncio.sleep(station.random.uniform(shortest, longest))


async def kill(station, instances):
    for instance in instances:
        await instance.kill()
    await pause(station, 0, 2)
    for instance in instances:
        await instance.start()


async def terminate(station, instances):
    for instance in instances:
        await instance.terminate()
        await instance.start()


async def clock_forward(station, instances):
    await step_clock(station, instances, 1)


async def clock_back(station, instances):
    await step_clock(station, instances, -1)


async def step_clock(station, instances, sign):
    seconds = sign * station.random.choice((1, 40, 600, 3600))
    for instance in instances:
        instance.set_clock(seconds)
    await pause(station, 3, 8)
    for instance in instances:
        instance.set_clock(0)


async def slow_clients(station, instances):
    """Clients that send a request byte by byte, and clients that do not read their responses."""
    token = users.token(SECRET, users.name(0))
    request = Request("GET", "/api/tasks?limit=500").encode(token)
    end = asyncio.get_running_loop().time() + station.random.uniform(4, 10)

    async def client(instance, sends_slowly):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*instance.address, limit=1024)
            part = 0
            while asyncio.get_running_loop().time() < end:
                if sends_slowly:
                    writer.write(request[part : part + 1])
                    part += 1
                elif part < 50:
                    writer.write(request)
                    part += 1
                await asyncio.sleep(0.2)
            writer.transport.abort()

    await asyncio.gather(*(client(instance, n % 2) for instance in instances for n in range(30)))


async def bad_requests(station, instances):
    """Hundreds of requests that must be rejected."""
    good = users.token(SECRET, users.name(0))
    path = "/api/tasks"
    requests = [
        Request("GET", path).encode(good[:-3] + "abc"),
        Request("GET", path).encode("none"),
        Request("GET", f"{path}?limit=0").encode(good),
        Request("GET", f"{path}?unknown=1").encode(good),
        Request("GET", f"{path}?cursor=xyz").encode(good),
        Request("GET", f"{path}/not-an-id").encode(good),
        Request("GET", f"{path}/00000000-0000-7000-8000-000000000000").encode(good),
        Request("GET", "/nothing").encode(good),
        Request("TRACE", path).encode(good),
        Request("POST", path, {"title": ""}).encode(good),
        Request("POST", path, {"title": "x", "unknown": 1}).encode(good),
        Request("POST", path, {"title": "x" * 70_000}).encode(good),
        Request("POST", path, {"title": "a\0b"}).encode(good),
        Request("POST", path, {"title": 1, "tags": "x", "due_date": "yesterday"}).encode(good),
        Request("POST", path, [1] * 1000).encode(good),
        Request("POST", path).encode(good).replace(b"Content-Length: 0", b"Content-Length: 5") + b"{{{{{",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ]

    async def client(instance):
        line = Connection()
        for _ in range(30):
            request = station.random.choice(requests)
            station.figures["bad requests"] += 1
            try:
                answer = await line.ask(instance.address, request)
            except LostError:
                continue
            if not 400 <= answer.status < 500:
                station.violate("wrong", f"bad request {request[:80]!r} was answered with {answer}")
        line.close()

    await asyncio.gather(*(client(instance) for instance in instances for _ in range(20)))


def fill(folder):
    """Fills the file system with a file, up to the last block."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return filler


async def full_disk(station, instances):
    filler = await asyncio.to_thread(fill, station.disk)
    try:
        await pause(station, 6, 12)
    finally:
        filler.unlink()


async def failing_fsync(station, instances):
    for instance in instances:
        instance.sync_fault.write_text("5")
    await pause(station, 1, 4)
    for instance in instances:
        instance.sync_fault.unlink()


async def locked_file(station, instances):
    """Another process writes to the database for a long time."""
    other = sqlite3.connect(station.file, isolation_level=None)
    try:
        other.execute("PRAGMA busy_timeout = 5000")
        other.execute("BEGIN IMMEDIATE")
        await pause(station, 2, 5)
        other.execute("ROLLBACK")
    finally:
        other.close()


async def stop(station, instances):
    await away(station, "stop")


async def crash(station, instances):
    await away(station, "crash")


async def away(station, how):
    await asyncio.to_thread(station.cluster.tell, how)
    await pause(station, 0, 5)
    await asyncio.to_thread(station.cluster.tell, "start")


async def freeze(station, instances):
    await asyncio.to_thread(station.cluster.tell, "freeze")
    await pause(station, 1, 8)
    await asyncio.to_thread(station.cluster.tell, "thaw")


async def freeze_backends(station, instances):
    """Stops some of the processes that serve the connections of the server."""
    pids = await asyncio.to_thread(station.sql, "SELECT pid FROM pg_stat_activity WHERE application_name = 'todo-api'")
    pids = list(map(int, pids.split()))
    frozen = station.random.sample(pids, min(len(pids), station.random.choice((1, 1, 2, 5))))
    try:
        for pid in frozen:
            send(pid, signal.SIGSTOP)
        await pause(station, 2, 8)
    finally:
        for pid in frozen:
            send(pid, signal.SIGCONT)


def send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def terminate_backends(station, instances):
    kill_all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'todo-api'"
    for _ in range(station.random.choice((1, 3))):
        await asyncio.to_thread(station.sql, kill_all)
        await pause(station, 0, 1)


async def locked_table(station, instances):
    """Another session changes the schema, as it seems."""
    mode = station.random.choice(("EXCLUSIVE", "ACCESS EXCLUSIVE"))
    seconds = station.random.uniform(2, 5)
    lock = f"BEGIN; LOCK TABLE tasks IN {mode} MODE; SELECT pg_sleep({seconds}); ROLLBACK"
    await asyncio.to_thread(station.sql, lock)


ANYWHERE = [
    Fault("kill -9 of the server", ANY, kill, single=True, restarts=True),
    Fault("SIGTERM and restart of the server", ANY, terminate, single=True, restarts=True),
    Fault("clock step forward", NOTHING, clock_forward, single=True),
    Fault("clock step back", NOTHING, clock_back, single=True),
    Fault("slow clients", NOTHING, slow_clients),
    Fault("bad requests", NOTHING, bad_requests),
    Fault("full disk", UNAVAILABLE, full_disk),
]

FAULTS = {
    "sqlite": [
        *ANYWHERE,
        Fault("failing fsync", UNAVAILABLE, failing_fsync),
        Fault("file locked by another process", UNAVAILABLE, locked_file),
    ],
    "postgres": [
        *ANYWHERE,
        Fault("stop and start of PostgreSQL", UNAVAILABLE, stop),
        Fault("crash and start of PostgreSQL", UNAVAILABLE, crash),
        Fault("frozen PostgreSQL", UNAVAILABLE, freeze),
        Fault("frozen backends", UNAVAILABLE, freeze_backends),
        Fault("terminated backends", UNAVAILABLE, terminate_backends),
        Fault("locked table", UNAVAILABLE, locked_table),
    ],
}


def deck(station, text, restarts):
    """The faults with this text in their names, in a random order, again and again."""
    faults = [fault for fault in FAULTS[station.name] if text in fault.name and (restarts or not fault.restarts)]
    while faults:
        station.random.shuffle(faults)
        yield from faults


RENEWAL = Fault("restart for the measurement of memory", ANY, terminate, restarts=True)


def run_sql(url, sql):
    """The output of psql."""
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", url]
    done = subprocess.run([*command, "--command", sql], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def check_file(station):
    """After the stop, the file must be whole, and without a log."""
    database = sqlite3.connect(f"file:{station.file}?mode=ro", uri=True)
    [[verdict]] = database.execute("PRAGMA integrity_check").fetchall()
    database.close()
    if verdict != "ok":
        station.violate("file", f"integrity_check says {verdict}")
