"""Users of the API: their tokens, their connections, and the tasks that they have to begin with."""

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
    """Of fixed length, so that users sort as their numbers do."""
    return f"user-{number:07}"


def token(secret, user):
    """A token for a day, signed as an auth server with a shared secret does (HS256)."""
    parts = {"alg": "HS256", "typ": "JWT"}, {"sub": user, "exp": int(time.time()) + 86400}
    text = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    return (text + b"." + _base64(hmac.digest(secret.encode(), text, hashlib.sha256))).decode()


def _base64(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


class Client:
    """One kept connection, as one user."""

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
        """The answer and its content, whatever it says."""
        self.connection.request(method, path, body and json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        return answer, answer.read()

    def ask(self, method, path, body=None):
        """The answer and its content; ends the program where it is an error."""
        answer, content = self.try_to(method, path, body)
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:200]!r}")
        return answer, content


def furnish(address, secret, user):
    """Gives a user as many tasks as a page has, and returns their ids. Does nothing where they are there."""
    with Client(address, token(secret, user)) as client:
        ids = [task["id"] for task in json.loads(client.ask("GET", f"/api/tasks?limit={TASKS}")[1])]
        while len(ids) < TASKS:
            body = {"title": f"Task {len(ids) + 1} of {user}", "description": DESCRIPTION}
            ids.append(json.loads(client.ask("POST", "/api/tasks", body)[1])["id"])
        return ids


def seed(address, secret, readers, writers, folder):
    """Furnishes the readers through the API, and writes down for `load.lua` who there is and which tasks they have."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        tasks = list(pool.map(lambda user: furnish(address, secret, user), readers))
    lines = [
        f"{user} {token(secret, user)} {' '.join(map(str, ids))}\n" for user, ids in zip(readers, tasks, strict=True)
    ]
    (folder / "readers").write_text("".join(lines))
    (folder / "writers").write_text("".join(f"{user} {token(secret, user)}\n" for user in writers))
