"""Measures the time of a start, and the memory of an idle server."""

import contextlib
import itertools
import statistics
import time

from . import processes, users
from .servers import DATABASES, serve

USER = users.name(0)


def start_over_and_over(options):
    """Starts each server on a database with a user's tasks, in rounds. Prints the medians, and returns all results."""
    rounds = {}
    with contextlib.ExitStack() as stack:
        for (name, binary), kind in itertools.product(options.server, options.database):
            database = stack.enter_context(DATABASES[kind]())
            with serve(binary, database, options.secret) as server:
                users.furnish(server.address, options.secret, USER)
            rounds[name, kind, binary, database] = []
        for _ in range(options.rounds):
            for (_, _, binary, database), found in rounds.items():
                found.append(_start(binary, database, options.secret))
    print(f"\n{'cold start':<34}{'first answer':>14}{'range':>18}{'idle PSS':>12}")
    return [_report(name, kind, found) for (name, kind, _, _), found in rounds.items()]


def _start(binary, database, secret):
    token = users.token(secret, USER)
    started = time.perf_counter()
    with serve(binary, database, secret) as server:
        with users.Client(server.address, token) as client:
            # On PostgreSQL the server listens before it is connected, and answers 503 until then.
            while (status := client.try_to("GET", "/api/tasks")[0].status) != 200:
                if status != 503 or time.perf_counter() - started > 30:
                    raise SystemExit(f"the server answers with {status} after its start")
                time.sleep(0.001)
        seconds = time.perf_counter() - started
        time.sleep(1)
        return {"start_ms": round(seconds * 1000, 3), "pss_mib": round(processes.pss_mib(server.processes()), 3)}


def _report(name, kind, rounds):
    medians = {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
    times = [figures["start_ms"] for figures in rounds]
    spread = f"[{min(times):.0f}..{max(times):.0f}] ms"
    print(f"{f'{name}/{kind}':<34}{medians['start_ms']:>11.0f} ms{spread:>18}{medians['pss_mib']:>8.1f} MiB")
    return {"server": name, "database": kind, "rows": None, "op": "cold"} | {"medians": medians, "rounds": rounds}
