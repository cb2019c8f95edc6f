"""Users of the API: their tokens, connections and first tasks."""

import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import socket
import time

TASKS = 20
DESCRIPTION = "Some sixty characters, as many as people write of a task."


def name(number):
    """Of fixed length, so that users sort like their numbers."""
    return f"user-{number:07}"


def token(secret, user):
    """A token for a day, signed with the shared secret (HS256)."""
    parts = {"alg": "HS256", "typ": "JWT"}, {"sub": user, "exp": int(time.time()) + 86400}
    text = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    return (text + b"." + _base64(hmac.digest(secret.encode(), text, hashlib.sha256))).decode()


def _base64(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


class Client:
    """One persistent connection of one user."""

    def __init__(self, address, token):
        self.connection = http.client.HTTPConnection(*address, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def try_to(self, method, path, body=None):
        """The answer and its content, for any status."""
        self.connection.request(method, path, body and json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        return answer, answer.read()

    def ask(self, method, path, body=None):
        """The answer and its content. Ends the program if it is an error."""
        answer, content = self.try_to(method, path, body)
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:200]!r}")
        return answer, content


def furnish(address, secret, user):
    """Creates one page of tasks for a user, if they do not exist yet. Returns their ids."""
    with Client(address, token(secret, user)) as client:
        ids = [task["id"] for task in json.loads(client.ask("GET", f"/api/tasks?limit={TASKS}")[1])]
        while len(ids) < TASKS:
            body = {"title": f"Task {len(ids) + 1} of {user}", "description": DESCRIPTION}
            ids.append(json.loads(client.ask("POST", "/api/tasks", body)[1])["id"])
        return ids


def seed(address, secret, readers, writers, folder):
    """Creates the tasks of the readers through the API, and writes the users and their tasks for `load.lua`."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        tasks = list(pool.map(lambda user: furnish(address, secret, user), readers))
    lines = [
        f"{user} {token(secret, user)} {' '.join(map(str, ids))}\n" for user, ids in zip(readers, tasks, strict=True)
    ]
    (folder / "readers").write_text("".join(lines))
    (folder / "writers").write_text("".join(f"{user} {token(secret, user)}\n" for user in writers))
