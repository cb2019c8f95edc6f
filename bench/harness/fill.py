"""Fills a database with many tasks by SQL: ten million through the API would take hours."""

import contextlib
import datetime
import random
import sqlite3
import subprocess
import time

from . import users
from .servers import migrate

COLUMNS = "user_id, id, title, title_key, description, completed, due_date, version, created_at, updated_at"
DAY = 86_400


def owners(rows):
    """The number of users, with one page of tasks each."""
    return max(1, rows // users.TASKS)


def fill(binary, database, rows):
    """Lets the server create its schema, and fills it with users who create tasks in turn, one per second."""
    migrate(binary, database)
    oldest = int(time.time()) - rows
    if database.url.startswith("sqlite:"):
        _fill_sqlite(database.folder / "bench.db", owners(rows), oldest)
    else:
        _fill_postgres(database.url, owners(rows), oldest)


def _task(owner, turn, of_owners, oldest):
    """The columns except the owner; times in seconds."""
    number = turn * of_owners + owner
    created = oldest + number
    uuid7 = created * 1000 << 80 | 7 << 76 | 2 << 62 | random.getrandbits(62)
    title = f"Task {number * 7919 % 1_000_003}"
    due = created + DAY if number % 3 else None
    return uuid7, title, title.lower(), users.DESCRIPTION, number % 2, due, 1, created, created


def _fill_sqlite(file, of_owners, oldest):
    """By owner, in the order of the table, so that each page is written once."""

    def rows():
        for owner in range(of_owners):
            for turn in range(users.TASKS):
                uuid7, *columns, due, version, created, updated = _task(owner, turn, of_owners, oldest)
                times = due and due * 1_000_000, version, created * 1_000_000, updated * 1_000_000
                yield users.name(owner), uuid7.to_bytes(16, "big"), *columns, *times

    connection = sqlite3.connect(file)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    with connection:
        names = ((users.name(owner), oldest * 1_000_000) for owner in range(of_owners))
        connection.executemany("INSERT INTO users (id, created_at) VALUES (?, ?)", names)
        connection.executemany(f"INSERT INTO tasks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
    connection.close()


def _fill_postgres(url, of_owners, oldest):
    """In the order of creation, which is the order of the table, as with real users."""

    def rows():
        for turn in range(users.TASKS):
            for owner in range(of_owners):
                uuid7, *columns, due, version, created, updated = _task(owner, turn, of_owners, oldest)
                row = users.name(owner), f"{uuid7:032x}", *columns, _time(due), version, _time(created), _time(updated)
                yield "\t".join(map(str, row)) + "\n"

    names = (f"{users.name(owner)}\t{_time(oldest)}\n" for owner in range(of_owners))
    _psql(url, names, "COPY users (id, created_at) FROM STDIN")
    # Like a replica, without checking foreign keys: the owners exist.
    _psql(url, rows(), "SET session_replication_role = replica", f"COPY tasks ({COLUMNS}) FROM STDIN")
    _psql(url, (), "VACUUM ANALYZE", "CHECKPOINT")


def _time(seconds):
    return r"\N" if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def _psql(url, lines, *commands):
    options = [part for command in commands for part in ("--command", command)]
    command = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *options, url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    # If psql fails, it ends early with the reason.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.writelines(lines)
    if process.wait():
        raise SystemExit("PostgreSQL could not be filled")
