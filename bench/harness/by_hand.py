"""The peer that does the same work by hand (bench/peers)."""

import json
import re

from . import users
from .servers import RELEASE, migrate, serve

BINARY = RELEASE.with_name("by-hand")
TASK = {"title": "Straße", "priority": "high", "tags": ["ü", '"'], "due_date": "2030-01-02T10:00:00+01:00"}
UPDATE = {"title": "Fuß", "description": "a\tb"}
# These differ between two tasks with the same changes.
OWN = re.compile(rb'"(id|created_at|updated_at)":"[^"]*"')


def check(binary, database, secret):
    """Lets the server create its schema. Ends the program if the peer answers differently on the same database."""
    migrate(binary, database)
    token = users.token(secret, "check")
    with (
        serve(binary, database, secret) as server,
        serve(BINARY, database, secret) as peer,
        users.Client(server.address, token) as ours,
        users.Client(peer.address, token) as theirs,
    ):
        _compare(_write(ours), _write(theirs))
        _compare(_read(ours), _read(theirs))


def _compare(ours, theirs):
    for answer, other in zip(ours, theirs, strict=True):
        if answer != other:
            raise SystemExit(f"the peer answers {other}, and todo-api {answer}")


def _write(client):
    """The answers to each kind of change."""
    created = _ask(client, "POST", "/api/tasks", TASK)
    path = f"/api/tasks/{json.loads(created[-1])['id']}"
    complete = f"{path}/complete"
    changes = ("PUT", path, UPDATE), ("PATCH", complete, {"completed": False}), ("PATCH", complete, None)
    answers = [created, *(_ask(client, *change) for change in changes), _ask(client, "PATCH", complete)]
    return [(status, etag, OWN.sub(b"", content)) for status, etag, content in answers]


def _read(client):
    """The answers to each kind of query."""
    lists = [_ask(client, "GET", f"/api/tasks?limit=20{more}") for more in ("", "&status=pending")]
    return lists + [_ask(client, "GET", f"/api/tasks/{task['id']}") for task in json.loads(lists[0][-1])]


def _ask(client, *request):
    answer, content = client.ask(*request)
    return answer.status, answer.getheader("ETag"), content
