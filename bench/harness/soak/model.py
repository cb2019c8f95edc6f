"""What a user knows about the own tasks, and the comparison of each answer with it."""

import dataclasses
import datetime
import time


@dataclasses.dataclass
class Change:
    """A change with an unknown outcome. `expected` are its fields, or `None` for a delete."""

    expected: dict | None
    at: float
    # The task with the change, once an answer has shown it.
    seen: dict | None = None
    gone: bool = False


@dataclasses.dataclass
class Task:
    """The last acknowledged state of a task."""

    value: dict
    version: int
    unsure: Change | None = None
    # Earlier acknowledged states, to tell a lost change from an invented one.
    earlier: list = dataclasses.field(default_factory=list)

    def accept(self, value, version):
        self.earlier = [*self.earlier[-4:], self.value]
        self.value, self.version, self.unsure = value, version, None


@dataclasses.dataclass
class Creation:
    """A create with an unknown outcome. With a key, it can be repeated."""

    body: dict
    key: str | None
    at: float
    attempts: int = 1
    ids: set = dataclasses.field(default_factory=set)


class Model:
    """The tasks of one user. `violate` is called with each difference."""

    def __init__(self, violate):
        self.violate = violate
        self.tasks = {}
        self.creations = {}
        self.deleted = set()

    @property
    def sure(self):
        """Tasks whose state is known."""
        return [task for task in self.tasks.values() if not task.unsure]

    @property
    def doubts(self):
        return len(self.creations) + sum(bool(task.unsure) for task in self.tasks.values())

    def doubtful_titles(self):
        return set(self.creations) | {task.value["title"] for task in self.tasks.values() if task.unsure}

    def judge(self, task, value, where):
        """Compares a task with an answer."""
        if value == task.value and not (task.unsure and task.unsure.seen):
            return
        change = task.unsure
        if change:
            if change.seen == value:
                return
            if not change.seen and change.expected is not None and includes(value, task.value | change.expected, True):
                change.seen = value
                return
        kind = "lost" if value in task.earlier or (change and value == task.value) else "phantom"
        self.violate(kind, f"{where}: expected {task.value}, maybe with {change}, but found {value}")
        task.accept(value, task.version)

    def missing(self, task, where):
        """The task is not there."""
        if task.unsure and task.unsure.expected is None:
            task.unsure.gone = True
            return
        self.violate("lost", f"{where}: {task.value} is missing, maybe with {task.unsure}")
        self.tasks.pop(task.value["id"], None)
        self.deleted.add(task.value["id"])

    def judge_all(self, values, where):
        """Compares all tasks of the user with a list of all."""
        found = {value["id"]: value for value in values}
        if len(found) < len(values):
            self.violate("phantom", f"{where}: a task is there twice")
        for identifier, value in found.items():
            if identifier in self.tasks:
                task = self.tasks[identifier]
                if task.unsure and task.unsure.gone:
                    self.violate("lost", f"{where}: {value} is back after it was gone")
                self.judge(task, value, where)
            else:
                self._judge_stranger(value, where)
        for identifier in self.tasks.keys() - found.keys():
            self.missing(self.tasks[identifier], where)

    def _judge_stranger(self, value, where):
        """A task that no answer has acknowledged."""
        creation = self.creations.get(value["title"])
        if creation and includes(value, creation.body):
            creation.ids.add(value["id"])
            if len(creation.ids) > 1:
                self.violate("phantom", f"{where}: one create has made {creation.ids}")
            return
        kind = "lost" if value["id"] in self.deleted else "phantom"
        self.violate(kind, f"{where}: {value} must not be there")
        self.tasks[value["id"]] = Task(value, 0)

    def adopt(self, value, version):
        """A created task."""
        self.tasks[value["id"]] = Task(value, version)
        creation = self.creations.pop(value["title"], None)
        if creation and creation.ids - {value["id"]}:
            self.violate("phantom", f"the create of {value} has also made {creation.ids}")

    def settle(self, task):
        """Ends the doubt about a change after a complete list. Returns whether it has happened."""
        change = task.unsure
        if change.expected is None:
            if change.gone:
                self.remove(task)
            else:
                task.unsure = None
            return change.gone
        if change.seen:
            task.accept(change.seen, task.version + 1)
            return True
        task.unsure = None
        return False

    def remove(self, task):
        self.tasks.pop(task.value["id"], None)
        self.deleted.add(task.value["id"])

    def doubt(self, task, expected):
        task.unsure = Change(expected, time.monotonic())


def includes(value, fields, later=False):
    """Whether the task has these fields. `later` is whether `updated_at` may be later."""
    return all(same(name, value[name], field, later) for name, field in fields.items())


def same(name, one, other, later=False):
    if later and name == "updated_at":
        return one >= other
    if name != "due_date" or one is None or other is None:
        return one == other
    return datetime.datetime.fromisoformat(one) == datetime.datetime.fromisoformat(other)
