"""One measurement: wrk drives a server. Counts the CPU time and memory of all involved processes."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

from . import processes

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "load.lua"
OPERATIONS = ("get", "list", "pending", "patch", "toggle", "post", "put", "delete", "mixed")


@dataclasses.dataclass(frozen=True)
class Case:
    """The load on each server. Without a rate, each connection sends its next request after its answer."""

    op: str
    connections: int
    rate: int | None = None


def measure(target, case, seconds, threads=1, sequence=1):
    """The figures of one case."""
    if case.op != "delete":
        return _run(target, case, seconds, threads, sequence)
    # Tasks must exist to be deleted, so create them first, and more of them if they were too few.
    create = Case("stock", case.connections)
    for seconds_to_create in (2 * seconds, 8 * seconds, 32 * seconds):
        (target.seeds / "stock").write_text("")
        created = _run(target, create, seconds_to_create, threads, sequence)
        figures = _run(target, case, seconds, threads, sequence)
        figures["errors"] += created["errors"]
        if not figures.pop("exhausted"):
            return figures
    raise SystemExit(f"{target.label}: tasks are deleted much faster than created")


def _run(target, case, seconds, threads, sequence):
    server, database = target.server.processes(), target.server.database_processes()
    target.server.forget_log()
    busy, started = processes.busy_seconds(), time.monotonic()
    of_server, of_database = processes.cpu_seconds(server), processes.cpu_seconds(database)
    with processes.Peak(server) as memory:
        wrk, of_client = _wrk(target, case, seconds, min(threads, case.connections), sequence)
    of_server = processes.cpu_seconds(target.server.processes()) - of_server
    of_database = processes.cpu_seconds(target.server.database_processes()) - of_database
    elapsed = time.monotonic() - started
    noise = processes.busy_seconds() - busy - of_server - of_database - of_client
    if not wrk["requests"]:
        raise SystemExit(f"{target.label} {case.op}: no answer at all")
    if wrk["errors"]:
        print(f"{target.label} {case.op}: {wrk['errors']} errors\n{target.server.log_tail()}", file=sys.stderr)
    micros = 1e6 / wrk["requests"]
    figures = {
        "rps": wrk["requests"] / wrk["seconds"],
        **{key: wrk[key] for key in ("p50", "p95", "p99")},
        "server_us": of_server * micros,
        "database_us": of_database * micros,
        "client_us": of_client * micros,
        "pss_mib": memory.mib,
        "noise": max(0.0, noise / elapsed * 100),
        "errors": wrk["errors"],
    }
    if case.op == "delete":
        figures["exhausted"] = wrk["exhausted"]
    return {key: round(figure, 3) for key, figure in figures.items()}


def _wrk(target, case, seconds, threads, sequence):
    """The output of `load.lua` at its end, and the CPU time of wrk."""
    host, port = target.server.address
    pause = 1000 * case.connections / case.rate if case.rate else 0
    options = [f"-t{threads}", f"-c{case.connections}", f"-d{seconds}s", "--timeout=10s", f"--script={SCRIPT}"]
    arguments = map(str, (case.op, target.seeds, pause, threads, sequence))
    command = ["wrk", *options, f"http://{host}:{port}", "--", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        process.kill()
        process.stdout.close()
    try:
        return json.loads(output.splitlines()[-1]), usage.ru_utime + usage.ru_stime
    except (IndexError, json.JSONDecodeError):
        raise SystemExit(f"wrk failed on {target.label} {case.op}: {output[-500:]}") from None
