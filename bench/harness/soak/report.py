"""The results of a soak, as text and as JSON."""

import collections
import dataclasses
import statistics

from .. import report
from . import watch

COUNTS = (
    "requests",
    "acknowledged",
    "refused",
    "unknown",
    "happened",
    "not happened",
    "5xx explained",
    "5xx by the machine",
    "5xx unexplained",
    "500 unexplained",
    "lost explained",
    "lost unexplained",
    "bad requests",
)
BROKEN = ("lost", "phantom", "unexplained", "wrong", "recovery", "stop", "ended", "file", "growth")


def result(station, span, samples):
    """The figures of a station."""
    grown = dict(watch.growth(samples, station, *span))
    if span[1] - span[0] > watch.LONG_ENOUGH:
        judge_growth(station, grown)
    by_fault = collections.defaultdict(list)
    for window in station.windows:
        by_fault[window.fault].append(window)
    injected = {
        fault: {
            "times": len(windows),
            "failures": sum(window.failures for window in windows),
            "slowest recovery": round(max(window.recovery or 0 for window in windows), 2),
        }
        for fault, windows in by_fault.items()
    }
    return {
        "database": station.name,
        "instances": len(station.instances),
        "counts": {name: station.figures[name] for name in COUNTS},
        "broken": {name: station.violations[name] for name in BROKEN},
        "latency ms": percentiles(station.latencies),
        "faults": injected,
        "growth": grown,
        "machine": station.setting.machine.total,
        "examples": station.examples,
        "held": not station.violations.total(),
    }


def judge_growth(station, grown):
    for instance in station.instances:
        medians = grown.get(instance.number)
        if not medians:
            station.violate("growth", f"instance {instance.number} was not measured")
            continue
        for what, (first, last) in medians.items():
            if watch.too_much(what, first, last):
                station.violate("growth", f"instance {instance.number}: {what} grew from {first} to {last}")


def percentiles(latencies):
    """Of all answers, also during faults; in steps of 10 ms."""
    values = list(latencies.elements())
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(sorted(values), n=1000, method="inclusive")
    return {"p50": cuts[499] * 10, "p99": cuts[989] * 10, "p99.9": cuts[998] * 10, "max": max(values) * 10}


def print_results(results):
    width = max(len(name) for name in (*COUNTS, *BROKEN)) + 12
    print(f"\n{'':<{width}}" + "".join(f"{found['database']:>12}" for found in results))
    for name in COUNTS:
        print(f"{name:<{width}}" + "".join(f"{found['counts'][name]:>12,}" for found in results))
    for name in BROKEN:
        print(f"{f'broken: {name}':<{width}}" + "".join(f"{found['broken'][name]:>12,}" for found in results))
    for found in results:
        print(f"\n{found['database']}: latency in ms: {found['latency ms']}")
        print(f"{'fault':<44}{'times':>7}{'failures':>10}{'slowest recovery':>18}")
        for fault, figures in found["faults"].items():
            print(f"{fault:<44}{figures['times']:>7}{figures['failures']:>10}{figures['slowest recovery']:>16} s")
        for instance, medians in found["growth"].items():
            text = "not measured"
            if medians:
                text = ", ".join(f"{what} {first:g} → {last:g}" for what, (first, last) in medians.items())
            print(f"instance {instance}, after the first minutes → in the last ones: {text}")
    stalled = results[0]["machine"]
    print(f"\nOther programs stalled this machine {stalled['stalls']} times, for {stalled['seconds']} s.")
    print("All promises held." if all(found["held"] for found in results) else "\nPROMISES WERE BROKEN.")


def write_json(file, options, results, samples):
    arguments = {name: str(value) for name, value in vars(options).items()}
    found = {"options": arguments, "stations": results, "samples": [dataclasses.asdict(s) for s in samples]}
    report.write_json(file, [found])
