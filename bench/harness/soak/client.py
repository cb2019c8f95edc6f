"""A client: one user who works on the own tasks, and compares every answer with what must be there."""

import asyncio
import collections
import re
import time

from .. import users
from ..servers import SECRET
from .connection import Connection, LostError, Request
from .model import Creation, Model, includes

MOST = 40
# With so many writes in doubt, a client only reads.
DOUBTS = 8
PRIORITIES = ("none", "low", "medium", "high")
TAGS = ("home", "work", "garden", "rare")
# Writes, and how often a client chooses them.
WRITES = {"create": 8, "twins": 1, "update": 8, "toggle": 5, "complete": 4, "delete": 5, "stale": 1}
READS = {"get": 10, "whole": 4, "pages": 1, "tagged": 1, "count": 1, "unchanged": 2}


class Client:
    """One user of a station."""

    def __init__(self, station, number, pause):
        self.station, self.pause = station, pause
        self.name = users.name(number)
        self.token = users.token(SECRET, self.name)
        self.random = station.random
        self.model = Model(lambda kind, text: station.violate(kind, f"{self.name}: {text}"))
        # Two for each instance: twins are sent at the same time.
        self.connections = [[Connection() for _ in range(2)] for _ in station.instances]
        self.replays = collections.deque(maxlen=20)
        self.number = 0

    async def run(self):
        while not self.station.over:
            await asyncio.sleep(self.random.expovariate(1 / self.pause))
            await self.step()

    async def step(self):
        if self.model.doubts and self.random.random() < 0.2:
            await self.resolve()
        operations = READS | WRITES if self.model.doubts < DOUBTS else READS
        [name] = self.random.choices(list(operations), list(operations.values()))
        await getattr(self, name)()

    # Requests

    async def ask(self, request, instance=None, spare=False, abandon=False):
        """The answer, or `None` if there is none; and whether a write has certainly not happened."""
        instance = instance or self.random.choice(self.station.instances)
        line = self.connections[instance.number][spare]
        figures, start = self.station.figures, time.monotonic()
        figures["requests"] += 1
        try:
            answer = await line.ask(instance.address, request.encode(self.token), abandon)
        except LostError as lost:
            if not abandon:
                await self.station.failed(instance, "lost", start, f"{request}: {lost}")
            return None, not lost.sent
        self.station.latencies[round((time.monotonic() - start) * 100)] += 1
        if answer.status < 500:
            return answer, answer.status >= 400
        request_id = answer.headers.get("x-request-id")
        # No fault explains a 500: it is a defect.
        what = "5xx" if answer.status == 503 else f"{answer.status}"
        await self.station.failed(instance, what, start, f"{request}: {answer}", request_id)
        unchanged = "nothing was changed" in answer.detail
        if unchanged == ("unknown" in answer.detail):
            self.wrong(request, answer, "says neither that nothing was changed nor that it is unknown")
        return answer, unchanged

    async def write(self, request, **how):
        """The answer if the write was acknowledged, or `None`; and whether its outcome is unknown."""
        answer, unchanged = await self.ask(request, **how)
        if answer and answer.status < 300:
            self.station.figures["acknowledged"] += 1
            return answer, False
        if answer and answer.status < 500 and answer.status != 409:
            # With the status 404, the next list also shows that the task is lost.
            self.wrong(request, answer, "is unexpected")
        self.station.figures["refused" if unchanged else "unknown"] += 1
        return None, not unchanged

    async def read(self, path, headers=(), expected=(200,)):
        request = Request("GET", path, headers=headers)
        answer, _ = await self.ask(request)
        if answer is None or answer.status >= 500:
            return None
        if answer.status not in expected:
            self.wrong(request, answer, "is unexpected")
            return None
        return answer

    def wrong(self, request, answer, why):
        self.station.violate("wrong", f"{self.name}: {request}: {answer} {why}")

    # Writes

    def fields(self):
        choose = self.random.choice
        self.number += 1
        return {
            "title": f"{self.name} {self.number:06} {choose('abcxyz')}",
            "description": choose((None, f"Number {self.number} " + "x" * self.random.randrange(900))),
            "completed": choose((False, True)),
            "priority": choose(PRIORITIES),
            "tags": self.random.sample(TAGS, self.random.randrange(3)),
            "due_date": choose(
                (None, f"20{choose(range(26, 60))}-{choose(range(10, 13))}-{choose(range(10, 29))}T00:00:00Z")
            ),
        }

    async def create(self):
        if len(self.model.tasks) >= MOST:
            return await self.delete()
        body = self.fields()
        key = f"key-{self.number}" if self.random.random() < 0.6 else None
        answer, unknown = await self.write(create(body, key), abandon=self.impatient())
        if unknown:
            self.model.creations[body["title"]] = Creation(body, key, time.monotonic())
        elif answer:
            self.created(body, key, answer)
        return None

    def impatient(self):
        return self.random.random() < 0.01

    def created(self, body, key, answer):
        value = answer.json()
        if not includes(value, body) or value["user_id"] != self.name or value["updated_at"] < value["created_at"]:
            self.station.violate("phantom", f"{self.name}: {body} was created as {value}")
        self.model.adopt(value, version(answer))
        if key:
            self.replays.append((body, key, value))

    async def twins(self):
        """The same create twice at the same time: it must make one task."""
        body, choose = self.fields(), self.random.choice
        key = f"key-{self.number}"
        lines = [(choose(self.station.instances), spare) for spare in (False, True)]
        results = await asyncio.gather(
            *(self.write(create(body, key), instance=one, spare=spare) for one, spare in lines)
        )
        answers = [answer for answer, _ in results if answer]
        if answers:
            self.created(body, key, answers[0])
            if any(answer.json() != answers[0].json() for answer in answers):
                self.station.violate("phantom", f"{self.name}: twins {[answer.json() for answer in answers]}")
            self.count_unknown(sum(unknown for _, unknown in results), False)
        elif attempts := sum(unknown for _, unknown in results):
            self.model.creations[body["title"]] = Creation(body, key, time.monotonic(), attempts)

    def pick(self):
        tasks = self.model.sure
        return self.random.choice(tasks) if tasks else None

    async def change(self, task, method, body, expected):
        """A change of a task. `expected` are the fields after it, or `None` after a delete."""
        tag = (("If-Match", f'"{task.version}"'),) if self.random.random() < 0.4 else ()
        path = f"/api/tasks/{task.value['id']}" + ("/complete" if method == "PATCH" else "")
        answer, unknown = await self.write(Request(method, path, body, tag), abandon=self.impatient())
        if unknown:
            self.model.doubt(task, expected)
        elif answer and expected is None:
            self.model.remove(task)
        elif answer:
            value, before = answer.json(), task.value
            good = includes(value, before | expected, later=True) and version(answer) == task.version + 1
            if not good:
                text = f"{before} of version {task.version} with {expected} became {value} of version {version(answer)}"
                self.station.violate("phantom", f"{self.name}: {text}")
            task.accept(value, version(answer))

    async def update(self):
        if task := self.pick():
            fields = self.fields()
            names = self.random.sample(list(fields), self.random.randrange(1, len(fields) + 1))
            body = {name: fields[name] for name in names} | {"title": fields["title"]}
            await self.change(task, "PUT", body, body)

    async def toggle(self):
        if task := self.pick():
            expected = {"completed": not task.value["completed"]}
            await self.change(task, "PATCH", None, expected)

    async def complete(self):
        if task := self.pick():
            state = self.random.choice((False, True))
            if state != task.value["completed"]:
                body = {"completed": state}
                await self.change(task, "PATCH", body, body)

    async def delete(self):
        if task := self.pick():
            await self.change(task, "DELETE", None, None)

    async def stale(self):
        """A write with an old version: it must fail."""
        if task := self.pick():
            tag = ("If-Match", f'"{task.version + 1000}"')
            request = Request("PUT", f"/api/tasks/{task.value['id']}", {"title": "stale"}, (tag,))
            answer, _ = await self.ask(request)
            if answer and answer.status < 500 and answer.status != 412:
                self.wrong(request, answer, "is unexpected: the version is stale")

    # Reads

    async def get(self):
        tasks = list(self.model.tasks.values())
        if not tasks:
            return
        task = self.random.choice(tasks)
        answer = await self.read(f"/api/tasks/{task.value['id']}", expected=(200, 404))
        if answer and answer.status == 404:
            self.model.missing(task, "get")
        elif answer:
            if task.unsure and task.unsure.gone:
                self.station.violate("lost", f"{self.name}: {task.value} is back after it was gone")
            self.model.judge(task, answer.json(), "get")
            if not task.unsure and version(answer) != task.version:
                text = f"{task.value} has version {version(answer)} and not {task.version}"
                self.station.violate("phantom", f"{self.name}: {text}")
                task.version = version(answer)

    async def unchanged(self, task=None):
        if task := task or self.pick():
            path = f"/api/tasks/{task.value['id']}"
            await self.read(path, (("If-None-Match", f'"{task.version}"'),), expected=(304,))

    async def whole(self):
        """All tasks. Returns whether there was an answer."""
        if answer := await self.read("/api/tasks?limit=500"):
            values = answer.json()
            if [value["id"] for value in values] != sorted((value["id"] for value in values), reverse=True):
                self.station.violate("wrong", f"{self.name}: the list is not in order")
            self.model.judge_all(values, "list")
        return answer is not None

    async def pages(self):
        """All pages of a list. Returns whether all could be read."""
        choose = self.random.choice
        sort, order, status = (
            choose(("created", "title", "due_date", "priority")),
            choose(("asc", "desc")),
            choose(("all", "pending", "completed")),
        )
        path = f"/api/tasks?sort={sort}&order={order}&status={status}&limit={choose((3, 7, 100))}"
        found = []
        while path:
            answer = await self.read(path)
            if not answer:
                return False
            found += answer.json()
            link = re.match(r"<(.*)>", answer.headers.get("link", ""))
            path = link and link[1]
        self.compare(found, lambda task: status == "all" or task["completed"] == (status == "completed"), "pages")
        keys = [rank(sort, order, value) for value in found]
        if keys != sorted(keys):
            self.station.violate("wrong", f"{self.name}: the list by {sort} {order} is not in order: {keys}")
        return True

    async def tagged(self):
        tag = self.random.choice(TAGS)
        if answer := await self.read(f"/api/tasks?tag={tag}&limit=500"):
            self.compare(answer.json(), lambda task: tag in task["tags"], "filter")

    def compare(self, found, belongs, where):
        """The tasks in a list must be those that belong to it, except for those in doubt."""
        doubtful = {task.value["id"] for task in self.model.tasks.values() if task.unsure}
        strangers = self.model.creations.keys()
        found = {v["id"]: v for v in found if v["id"] not in doubtful and v["title"] not in strangers}
        expected = {task.value["id"]: task.value for task in self.model.sure if belongs(task.value)}
        for identifier in expected.keys() - found.keys():
            self.station.violate("lost", f"{self.name}: {where}: {expected[identifier]} is missing")
        for identifier, value in found.items():
            if expected.get(identifier) != value:
                text = f"expected {expected.get(identifier)}, but found {value}"
                self.station.violate("phantom", f"{self.name}: {where}: {text}")

    async def count(self):
        if self.model.doubts:
            return
        if answer := await self.read("/api/tasks?status=completed&limit=1&count=true"):
            expected = sum(task.value["completed"] for task in self.model.sure)
            if answer.headers.get("x-total-count") != str(expected):
                text = f"{expected} completed tasks are counted as {answer.headers.get('x-total-count')}"
                self.station.violate("phantom", f"{self.name}: {text}")

    # Doubts

    async def resolve(self):
        """Finds out the outcomes of old writes: creates with a key are repeated, of others it reads the result."""
        for creation in list(self.model.creations.values()):
            if creation.key and time.monotonic() - creation.at > 1:
                await self.repeat(creation)
        old = [task for task in self.model.tasks.values() if task.unsure and self.station.settled(task.unsure.at)]
        creations = [
            creation
            for creation in self.model.creations.values()
            if not creation.key and self.station.settled(creation.at)
        ]
        if not (old or creations) or not await self.whole():
            return
        for task in old:
            if task.unsure:
                self.count_unknown(1, self.model.settle(task))
        for creation in creations:
            self.count_unknown(1, bool(creation.ids))
            if not creation.ids:
                del self.model.creations[creation.body["title"]]
        for identifier in [identifier for creation in creations for identifier in creation.ids]:
            if answer := await self.read(f"/api/tasks/{identifier}"):
                self.model.adopt(answer.json(), version(answer))

    async def repeat(self, creation):
        creation.at = time.monotonic()
        answer, unknown = await self.write(create(creation.body, creation.key))
        if answer:
            self.created(creation.body, creation.key, answer)
            self.count_unknown(creation.attempts, "idempotency-replayed" in answer.headers)
        creation.attempts += unknown

    def count_unknown(self, writes, happened):
        """Of several attempts with one key, only one can have happened."""
        self.station.figures["happened"] += happened
        self.station.figures["not happened"] += writes - happened

    async def finish(self):
        """Resolves all doubts, and reads everything in several ways."""
        while self.model.doubts:
            await self.resolve()
            await asyncio.sleep(0.1)
        while not await self.whole() or not await self.pages():
            await asyncio.sleep(0.1)
        for task in self.model.sure:
            await self.unchanged(task)
        for body, key, value in self.replays:
            answer, _ = await self.write(create(body, key))
            if answer and (answer.json() != value or answer.headers.get("idempotency-replayed") != "true"):
                self.station.violate("phantom", f"{self.name}: key {key} of {value} was answered with {answer}")
        await self.whole()
        self.close()

    def close(self):
        for line in [line for lines in self.connections for line in lines]:
            line.close()


def create(body, key):
    return Request("POST", "/api/tasks", body, (("Idempotency-Key", key),) if key else ())


def version(answer):
    return int(answer.headers["etag"].strip('"'))


def rank(sort, order, value):
    """A key by which the list must be sorted. Ids break ties in its order."""
    sign = 1 if order == "asc" else -1
    number = sign * int(value["id"].replace("-", ""), 16)
    if sort == "title":
        parts = [sign * ord(letter) for letter in value["title"].lower()]
        return parts, number
    if sort == "due_date":
        due = value["due_date"]
        return due is None, sign * int(due[:10].replace("-", "")) if due else 0, number
    if sort == "priority":
        return sign * PRIORITIES.index(value["priority"]), number
    return (number,)
