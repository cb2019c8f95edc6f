"""The servers under test and their databases: they start with a `with`, and end with it."""

import contextlib
import dataclasses
import ipaddress
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

from . import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = ROOT / "target" / "release" / "todo-api"
SECRET = "only-for-benchmarks-0123456789-abcdefgh"


@dataclasses.dataclass(frozen=True)
class Database:
    """The URL of the database, the server's working directory, and the parent process of the database server."""

    url: str
    folder: pathlib.Path
    root: int | None = None

    def processes(self):
        return processes.tree(self.root) if self.root else set()


@contextlib.contextmanager
def _sqlite():
    with tempfile.TemporaryDirectory() as folder:
        yield Database(f"sqlite://{folder}/bench.db?mode=rwc", pathlib.Path(folder))


class Cluster:
    """A PostgreSQL cluster, started by a script that the tests use, too."""

    def __init__(self, environment=None):
        # Its own session: Ctrl-C must not end it before its clients. The end of its input does.
        command = ROOT / "api-tests" / "postgres-cluster"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen([command], text=True, start_new_session=True, env=environment, **pipes)
        line = self.process.stdout.readline().split()
        if not line:
            self.stop()
            raise SystemExit("PostgreSQL did not start")
        self.port, self.folder = int(line[0]), pathlib.Path(line[1])

    def tell(self, command):
        """Sends `stop`, `crash`, `start`, `freeze` or `thaw`, and waits until it is done."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "done\n":
            raise SystemExit(f"PostgreSQL could not {command}")

    def url(self, database="postgres"):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@contextlib.contextmanager
def _postgres():
    cluster = Cluster()
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Database(cluster.url(), pathlib.Path(folder), cluster.process.pid)
    finally:
        cluster.stop()


DATABASES = {"sqlite": _sqlite, "postgres": _postgres}


class Server:
    """A process on a free port. Its log stays in memory, so it needs no disk and no other process."""

    def __init__(self, binary, database, secret, environment=None, wrapper=()):
        self.database = database
        self.log = os.memfd_create("log")
        base = {"BETTER_AUTH_SECRET": secret, "DATABASE_URL": database.url, "PORT": "0", "LOG_FORMAT": "json"}
        environment = base | (environment or {})
        command = [*wrapper, binary, "serve"]
        self.process = subprocess.Popen(command, cwd=database.folder, env=environment, stderr=self.log)
        self.address = None

    def find_address(self):
        """Waits until the server listens."""
        for _ in range(60_000):
            if found := re.search(rb'"address":"([\d.]+):(\d+)"', os.pread(self.log, 1 << 16, 0)):
                self.address = found[1].decode(), int(found[2])
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.001)
        raise SystemExit(f"the server did not start: {self.log_tail(rb'')}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            os.close(self.log)

    def processes(self):
        return processes.tree(self.process.pid)

    def database_processes(self):
        return self.database.processes()

    def forget_log(self):
        # The server shares the offset, and continues at the beginning.
        os.ftruncate(self.log, 0)
        os.lseek(self.log, 0, os.SEEK_SET)

    def log_size(self):
        return os.fstat(self.log).st_size

    def log_tail(self, pattern=rb'"status":[45]'):
        """The last lines with that pattern: by default, of requests that failed."""
        lines = os.pread(self.log, os.fstat(self.log).st_size, 0).splitlines()
        return b"\n".join([line for line in lines if re.search(pattern, line)][-3:]).decode()


@contextlib.contextmanager
def serve(binary, database, secret=SECRET):
    """A server during the `with`. It is an error if it ends before."""
    server = Server(binary, database, secret)
    try:
        server.find_address()
        yield server
        if (status := server.process.poll()) is not None:
            raise SystemExit(f"the server ended with status {status}: {server.log_tail(rb'')}")
    finally:
        server.stop()


def migrate(binary, database):
    """Lets a server create its schema."""
    environment = {"DATABASE_URL": database.url}
    command = [binary, "migrate"]
    subprocess.run(command, cwd=database.folder, env=environment, stdout=subprocess.DEVNULL, check=True)


class Peer:
    """A server on this machine that the benchmark has not started."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SystemExit(f"{url} is not http://HOST:PORT")
        self.address = socket.gethostbyname(parts.hostname), parts.port or 80
        if not ipaddress.ip_address(self.address[0]).is_loopback:
            raise SystemExit(f"{url} is not on this machine: only its CPU time and memory can be measured")
        if not self.processes():
            raise SystemExit(f"{url}: no process listens there, or its id is not visible without more rights")

    def processes(self):
        return processes.tree(*processes.listeners(self.address[1])) - self.database_processes()

    def database_processes(self):
        """All other PostgreSQL processes of this machine, because it is unknown which of them the server uses."""
        return processes.named("postgres") - processes.tree(os.getpid())

    def forget_log(self):
        pass

    def log_tail(self):
        return ""


@dataclasses.dataclass
class Target:
    """The subject of a measurement: a server, its names in the report, and the folder with its seeds."""

    server: Server | Peer
    name: str
    database: str | None
    rows: int | None
    seeds: pathlib.Path

    @property
    def label(self):
        return "/".join(filter(None, [self.name, self.database, self.rows and short(self.rows)]))


def short(number):
    """10000 as `10k`, 1000000 as `1M`."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return str(number)


def require(**programs):
    """Ends the program if a required one is missing. The values are the names in `scripts/require`."""
    for program, package in programs.items():
        if not shutil.which(program):
            raise SystemExit(f"{program} is missing: scripts/require {package}")
