"""Uses all operations through the generated client."""

import os
from datetime import UTC, datetime
from http import HTTPStatus

from todo_api_client import AuthenticatedClient
from todo_api_client.api.tasks import complete_task, create_task, delete_task, get_task, list_tasks, update_task
from todo_api_client.models import Problem, ProblemCode, TaskCreate, TaskResponse, TaskStatus, TaskUpdate

URL = os.environ["TODO_API_URL"]
alice = AuthenticatedClient(base_url=URL, token=os.environ["TODO_API_TOKEN"], raise_on_unexpected_status=True)

assert list_tasks.sync(client=alice) == []

milk = create_task.sync(client=alice, body=TaskCreate(title="  Buy milk "))
assert isinstance(milk, TaskResponse), milk
assert (milk.title, milk.description, milk.completed, milk.due_date) == ("Buy milk", None, False, None)
assert milk.user_id == "alice"
assert milk.created_at.utcoffset() == UTC.utcoffset(None)
# A client of an earlier release gets fields that its document does not have.
assert not milk.additional_keys or "OLDER_DOCUMENT" in os.environ

due = datetime(2026, 12, 1, 8, 30, 15, 123456, UTC)
bread = create_task.sync(
    client=alice,
    body=TaskCreate(title="Bake bread", description="Rye", completed=True, due_date=due),
    idempotency_key="bread",
)
assert isinstance(bread, TaskResponse), bread
assert (bread.description, bread.completed, bread.due_date) == ("Rye", True, due)

assert list_tasks.sync(client=alice) == [bread, milk]
assert list_tasks.sync(client=alice, status=TaskStatus.COMPLETED, limit=1) == [bread]

read = get_task.sync_detailed(milk.id, client=alice)
assert read.parsed == milk
unchanged = get_task.sync_detailed(milk.id, client=alice, if_none_match=read.headers["etag"])
assert (unchanged.status_code, unchanged.parsed) == (HTTPStatus.NOT_MODIFIED, None)

updated = update_task.sync(bread.id, client=alice, body=TaskUpdate(description=None))
assert isinstance(updated, TaskResponse), updated
assert (updated.title, updated.description, updated.due_date) == ("Bake bread", None, due)

completed = complete_task.sync(milk.id, client=alice)
assert isinstance(completed, TaskResponse), completed
assert completed.completed

assert delete_task.sync_detailed(milk.id, client=alice).status_code == HTTPStatus.NO_CONTENT

gone = get_task.sync(milk.id, client=alice)
assert isinstance(gone, Problem), gone
assert (gone.status, gone.code) == (404, ProblemCode.TASK_NOT_FOUND)

blank = create_task.sync(client=alice, body=TaskCreate(title=" "))
assert isinstance(blank, Problem), blank
assert blank.code is ProblemCode.VALIDATION_FAILED
assert blank.errors and [violation.pointer for violation in blank.errors] == ["/title"]

stranger = list_tasks.sync(client=AuthenticatedClient(base_url=URL, token="none"))
assert isinstance(stranger, Problem), stranger
assert (stranger.status, stranger.code) == (401, ProblemCode.TOKEN_INVALID)
