"""What a model does with the tools that FastMCP makes from the document."""

import asyncio
import json
import os
import sys
from typing import Any

import httpx2
from fastmcp import Client, FastMCP
from fastmcp.exceptions import ToolError

document = json.load(sys.stdin)
headers = {"Authorization": f"Bearer {os.environ['TODO_API_TOKEN']}"}
operations = [operation for path in document["paths"].values() for operation in path.values()]
# A path can have other members beside its operations, such as parameters.
descriptions = {each["operationId"]: each.get("description") for each in operations if "operationId" in each}
names = descriptions.keys()


async def main() -> None:
    async with (
        httpx2.AsyncClient(base_url=os.environ["TODO_API_URL"], headers=headers) as http,
        Client(FastMCP.from_openapi(document, client=http)) as client,
    ):
        tools = {tool.name: tool for tool in await client.list_tools()}
        assert set(tools) == names, tools.keys() ^ names
        for name, description in descriptions.items():
            # Where the document has no description, FastMCP makes one up.
            assert description and tools[name].description == description, f"{name}: {tools[name].description}"
        called = set()

        async def call(name: str, **arguments: Any) -> Any:
            """Calls a tool with arguments that its schema names: others are dropped without an error."""
            unknown = arguments.keys() - tools[name].input_schema["properties"].keys()
            assert not unknown, f"{name} has no arguments {unknown}"
            called.add(name)
            result = await client.call_tool(name, arguments)
            content = result.structured_content
            return content["result"] if content and content.keys() == {"result"} else content

        assert await call("listTasks") == []
        milk = await call("createTask", title="  Buy milk ", due_date="2026-12-01T09:30:00+01:00")
        assert milk["title"] == "Buy milk"
        assert (milk["description"], milk["completed"], milk["due_date"]) == (None, False, "2026-12-01T08:30:00Z")
        bread = await call("createTask", title="Bake bread", description="Rye", **{"Idempotency-Key": "bread"})
        again = await call("createTask", title="Bake bread", description="Rye", **{"Idempotency-Key": "bread"})
        assert again == bread

        assert await call("listTasks") == [bread, milk]
        assert await call("listTasks", sort="title", order="desc", limit=1) == [milk]
        assert await call("getTask", id=milk["id"]) == milk

        changed = await call("updateTask", id=milk["id"], description="Two litres", **{"If-Match": '"1"'})
        assert changed == milk | {"description": "Two litres", "updated_at": changed["updated_at"]}
        cleared = await call("updateTask", id=milk["id"], due_date=None)
        assert (cleared["description"], cleared["due_date"]) == ("Two litres", None)

        nested = "body" in tools["completeTask"].input_schema["properties"]
        for completed in [True, True, False]:
            state = {"completed": completed}
            task = await call("completeTask", id=milk["id"], **({"body": state} if nested else state))
            assert task["completed"] is completed
        assert (await call("completeTask", id=milk["id"]))["completed"] is True
        nothing = "body" if nested else "completed"
        assert (await call("completeTask", id=milk["id"], **{nothing: None}))["completed"] is False

        assert await call("deleteTask", id=milk["id"]) is None
        try:
            await call("getTask", id=milk["id"])
        except ToolError as error:
            # A model reads what went wrong.
            assert "404" in str(error) and "task_not_found" in str(error), error
        else:
            raise AssertionError("the task is still there")
        assert await call("listTasks") == [bread]
        assert called == names, names - called


asyncio.run(main())
