"""Reads a list of patterns as JSON, and writes those that RE2 cannot compile, each with the reason."""

import json
import sys

import re2

options = re2.Options()
options.log_errors = False


def fault(pattern: str) -> str | None:
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        return str(error)
    return None


faults = {pattern: fault(pattern) for pattern in json.load(sys.stdin)}
json.dump({pattern: fault for pattern, fault in faults.items() if fault}, sys.stdout)
