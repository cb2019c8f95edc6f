"""Tables and JSON of the measurements."""

import itertools
import json
import os
import pathlib
import platform
import statistics

COLUMNS = (
    # key, heading, width, digits after the point
    ("rps", "req/s", 9, 0),
    ("p50", "p50 ms", 9, 2),
    ("p95", "p95 ms", 9, 2),
    ("p99", "p99 ms", 9, 2),
    ("server_us", "server µs", 11, 1),
    ("database_us", "db µs", 8, 1),
    ("client_us", "client µs", 11, 1),
    ("pss_mib", "PSS MiB", 9, 1),
    ("noise", "noise %", 9, 1),
    ("errors", "errors", 8, 0),
)
HEADING = f"{'op':<8}{'conns':>6}{'rate':>7}"
RATIOS = (
    ("req/s", lambda figures: figures["rps"]),
    ("p50", lambda figures: figures["p50"]),
    ("p99", lambda figures: figures["p99"]),
    ("server CPU", lambda figures: figures["server_us"]),
    ("server+db CPU", lambda figures: figures["server_us"] + figures["database_us"]),
)


def medians(rounds):
    """The median of each figure, but the sum of the errors."""
    summary = {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
    return summary | {"errors": sum(figures["errors"] for figures in rounds)}


def pairs(targets):
    """The pairs to compare: the first server with each other one, and each number of rows with the first."""
    first = targets[0]

    def related(target, other):
        same_server = (target.name, target.database) == (other.name, other.database)
        if target.rows != other.rows:
            return same_server and other.rows == first.rows
        return target.name == first.name != other.name and other.database in (None, target.database)

    return [pair for pair in itertools.product(targets, targets) if related(*pair)]


def _heading(case):
    return f"{case.op:<8}{case.connections:>6}{case.rate or '':>7}"


def print_medians(targets, cases, results):
    """One line for each case and server."""
    width = max(len(target.label) for target in targets) + 2
    headings = "".join(f"{heading:>{places}}" for _, heading, places, _ in COLUMNS)
    print(f"{HEADING}  {'server':<{width}}{headings}")
    for case in cases:
        for target in targets:
            summary = medians(results[target.label, case])
            figures = "".join(f"{summary[key]:>{places}.{digits}f}" for key, _, places, digits in COLUMNS)
            print(f"{_heading(case)}  {target.label:<{width}}{figures}")


def print_ratios(targets, cases, results):
    """For each pair: the ratios of the medians, with their range over the rounds."""
    for target, other in pairs(targets):
        print(f"\n{target.label} / {other.label} [range over the rounds]; more req/s is better, less of the rest")
        print(HEADING + "".join(f"{name:>20}" for name, _ in RATIOS))
        for case in cases:
            ours, theirs = results[target.label, case], results[other.label, case]
            print(_heading(case) + "".join(f"{_ratio(figure, ours, theirs):>20}" for _, figure in RATIOS))


def _ratio(figure, ours, theirs):
    def divide(one, another):
        return one / another if another else float("nan")

    of_medians = divide(figure(medians(ours)), figure(medians(theirs)))
    of_rounds = [divide(figure(one), figure(another)) for one, another in zip(ours, theirs, strict=True)]
    return f"{of_medians:.2f} [{min(of_rounds):.2f}..{max(of_rounds):.2f}]"


def entries(targets, cases, results):
    """The JSON of each server and case."""
    for target in targets:
        for case in cases:
            rounds = results[target.label, case]
            names = {"server": target.name, "database": target.database, "rows": target.rows}
            yield names | vars(case) | {"medians": medians(rounds), "rounds": rounds}


def write_json(file, found):
    """The measurements, and the machine."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = [line.partition(": ")[2].strip() for line in cpuinfo if line.startswith("model name")]
    machine = {"cpus": os.cpu_count(), "cpu": cpu[0] if cpu else None, "kernel": platform.release()}
    pathlib.Path(file).write_text(json.dumps({"machine": machine, "results": list(found)}, indent=1) + "\n")
