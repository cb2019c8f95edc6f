"""What a user does with all operations, through the client of openapi-generator."""

import os
from datetime import UTC, datetime

from todo_api import ApiClient, Configuration, TaskComplete, TaskCreate, TasksApi, TaskStatus, TaskUpdate
from todo_api.exceptions import NotFoundException, UnprocessableEntityException

api = TasksApi(ApiClient(Configuration(host=os.environ["TODO_API_URL"], access_token=os.environ["TODO_API_TOKEN"])))
assert api.list_tasks() == []

due = datetime(2026, 12, 1, 8, 30, 15, 123456, UTC)
milk = api.create_task(TaskCreate(title="  Buy milk ", due_date=due))
assert (milk.title, milk.description, milk.completed, milk.due_date) == ("Buy milk", None, False, due)
bread = api.create_task(TaskCreate(title="Bake bread", description="Rye"), idempotency_key="bread")
assert api.create_task(TaskCreate(title="Bake bread", description="Rye"), idempotency_key="bread") == bread

assert api.list_tasks() == [bread, milk]
assert api.list_tasks(status=TaskStatus.PENDING, limit=1) == [bread]
assert api.get_task(milk.id) == milk

changed = api.update_task(milk.id, TaskUpdate(description="Two litres"), if_match='"1"')
assert (changed.title, changed.description, changed.due_date) == ("Buy milk", "Two litres", due)
cleared = api.update_task(milk.id, TaskUpdate(due_date=None))
assert (cleared.description, cleared.due_date) == ("Two litres", None)

assert api.complete_task(milk.id, task_complete=TaskComplete(completed=True)).completed
assert api.complete_task(milk.id, task_complete=TaskComplete(completed=True)).completed
assert not api.complete_task(milk.id).completed

api.delete_task(milk.id)
assert api.list_tasks() == [bread]
try:
    api.get_task(milk.id)
except NotFoundException as error:
    assert error.data and error.data.code == "task_not_found", error
else:
    raise AssertionError("the task is still there")
try:
    api.create_task(TaskCreate(title="Bake a cake"), idempotency_key="bread")
except UnprocessableEntityException as error:
    assert error.data and error.data.code == "idempotency_key_reused", error
else:
    raise AssertionError("a key stands for two requests")
