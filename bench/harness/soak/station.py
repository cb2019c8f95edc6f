"""A station: servers on one database, the faults that they suffer, and the count of everything that happened."""

import asyncio
import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import struct
import subprocess
import sys
import time

from .. import users
from ..servers import SECRET, Server
from .connection import Connection, LostError, Request
from .machine import Machine

# A server must be back this long after the end of a fault. It promises about a second on an idle machine.
RECOVERY = 10
# A request that began before the end of a fault may still suffer from it, as may one that began right after it.
GRACE = 1
# A write with an unknown outcome has certainly happened or not, this long after the fault.
SETTLED = 5

ANY = frozenset({"5xx", "lost"})
UNAVAILABLE = frozenset({"5xx"})
NOTHING = frozenset()


@dataclasses.dataclass
class Window:
    """The time of a fault, and the failures that it explains on these instances."""

    fault: str
    explains: frozenset
    start: float
    instances: set
    end: float | None = None
    recovery: float | None = None
    failures: int = 0

    def overlaps(self, start, end):
        return self.start <= end and (self.end is None or start <= self.end)


class Instance:
    """One server, over all its processes."""

    def __init__(self, station, number):
        self.station, self.number = station, number
        self.server = self.address = None
        self.folder = station.folder / f"instance-{number}"
        self.folder.mkdir()
        self.clock = self.folder / "clock"
        self.set_clock(0)
        self.sync_fault = self.folder / "sync-fails"
        self.started = 0.0
        self.expected_end = False

    def set_clock(self, seconds):
        with self.clock.open("r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    async def start(self):
        environment = {
            "LD_PRELOAD": str(self.station.setting.faults),
            "FAULT_CLOCK": str(self.clock),
            "FAULT_SYNC": str(self.sync_fault),
        }
        # If this program is killed, the server ends, too.
        wrapper = ["setpriv", "--pdeathsig=KILL", "--"]
        server = Server(self.station.setting.binary, self.station.database, SECRET, environment, wrapper)
        self.server, self.expected_end = server, False
        await asyncio.to_thread(server.find_address)
        self.address, self.started = server.address, time.monotonic()

    @property
    def pid(self):
        return self.server.process.pid

    async def kill(self):
        self.expected_end = True
        self.server.process.kill()
        await asyncio.to_thread(self.server.process.wait)
        self.forget()

    async def terminate(self):
        """Stops it in order. Returns its exit status."""
        self.expected_end = True
        self.server.process.terminate()
        try:
            await asyncio.to_thread(self.server.process.wait, 30)
        except subprocess.TimeoutExpired:
            self.server.process.kill()
        status = self.server.process.wait()
        if status:
            self.station.violate("stop", f"instance {self.number} ended with {status}: {self.server.log_tail(rb'')}")
        self.forget()

    def forget(self):
        os.close(self.server.log)
        self.server = None

    def line_of(self, request_id):
        """The line of the log for a request."""
        if self.server and request_id:
            return self.server.log_tail(request_id.encode()) or "no line in the log"
        return "no log"


@dataclasses.dataclass(frozen=True)
class Setting:
    """The subject of the soak, and its surroundings."""

    binary: pathlib.Path
    faults: pathlib.Path
    seed: int
    machine: Machine


class Station:
    """Servers on one database."""

    def __init__(self, name, setting, database, instances=1):
        self.name, self.setting, self.database = name, setting, database
        self.random = random.Random(f"{setting.seed} {name}")
        self.folder = pathlib.Path(database.folder)
        self.instances = [Instance(self, number) for number in range(instances)]
        self.windows = []
        self.quiet_since = time.monotonic()
        self.figures = collections.Counter()
        self.violations = collections.Counter()
        self.latencies = collections.Counter()
        self.examples = []
        self.over = False

    def violate(self, kind, text):
        """Counts a broken promise, and reports it at once."""
        self.violations[kind] += 1
        line = f"{time.strftime('%H:%M:%S')} {self.name}: {kind}: {text}"
        if self.violations[kind] <= 50:
            print(line, file=sys.stderr, flush=True)
            self.examples.append(line)

    @contextlib.asynccontextmanager
    async def suffer(self, fault, explains, instances=None):
        """The window of a fault. After it, the servers must recover in time."""
        affected = set(range(len(self.instances))) if instances is None else set(instances)
        window = Window(fault, explains, time.monotonic(), affected)
        self.windows.append(window)
        print(f"{time.strftime('%H:%M:%S')} {self.name}: {fault}", file=sys.stderr, flush=True)
        yield window
        undone = time.monotonic()
        await self.recover(fault, undone)
        window.recovery = time.monotonic() - undone
        window.end = time.monotonic() + GRACE
        if explains:
            await asyncio.sleep(GRACE)
            self.quiet_since = time.monotonic()

    async def recover(self, fault, since):
        """Waits until all instances make changes, and complains if that takes too long."""
        in_time = True
        for instance in self.instances:
            while not await self.works(instance):
                if in_time and time.monotonic() - since > RECOVERY:
                    self.violate("recovery", f"instance {instance.number} does not work {RECOVERY} s after {fault}")
                    in_time = False
                if time.monotonic() - since > 60:
                    raise SystemExit(f"{self.name}: the server has not recovered a minute after {fault}")
                await asyncio.sleep(0.1)

    async def works(self, instance):
        """Whether the instance says that it is ready, and makes a change."""
        line = Connection()
        token = users.token(SECRET, "probe")
        try:
            ready = await line.ask(instance.address, Request("GET", "/ready").encode(token))
            body = {"title": "Does it work?"}
            made = await line.ask(instance.address, Request("POST", "/api/tasks", body).encode(token))
            if (ready.status, made.status) != (200, 201):
                return False
            path = made.headers["location"]
            return (await line.ask(instance.address, Request("DELETE", path).encode(token))).status == 204
        except LostError:
            return False
        finally:
            line.close()

    def settled(self, at):
        """Whether a write of that time has happened by now or never will."""
        open_ones = any(window.explains and window.end is None for window in self.windows[-2:])
        now = time.monotonic()
        stalled = self.setting.machine.stalled(now - SETTLED, now)
        return not open_ones and not stalled and now - max(at, self.quiet_since) > SETTLED

    async def failed(self, instance, what, start, description, request_id=None):
        """Counts a failure. It is a broken promise if no fault explains it."""
        now = time.monotonic()
        for window in reversed(self.windows):
            if what in window.explains and instance.number in window.instances and window.overlaps(start, now):
                window.failures += 1
                self.figures[f"{what} explained"] += 1
                return
        # The file of SQLite is in memory.
        if what == "5xx" and self.name == "postgres" and self.setting.machine.stalled(start - GRACE, now):
            self.figures["5xx by the machine"] += 1
            return
        self.figures[f"{what} unexplained"] += 1
        await asyncio.sleep(0.3)
        around = [f"{window.fault} {now - window.start:.1f} s before" for window in self.windows[-1:]]
        text = f"{description}; last fault: {around}; log: {instance.line_of(request_id)}"
        self.violate("unexplained", text)
