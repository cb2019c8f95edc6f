"""Rules of valid requests that an OpenAPI document cannot express."""

import re
import uuid

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    # A key belongs to one request, so only a new key is valid with any body.
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Only cursors of the server are valid.
    case.query.pop("cursor", None)
    # For a header with a pattern, the coverage phase sends 0 as if it were valid.
    for parameter in case.operation.headers:
        value, pattern = case.headers.get(parameter.name), parameter.definition["schema"].get("pattern")
        if value is not None and pattern and not re.search(pattern, value):
            del case.headers[parameter.name]


@schemathesis.hook
def filter_case(context, case):
    # The server takes `null` for no body, as the document says in words: generated clients send it.
    return not (case.operation.definition.raw.get("operationId") == "completeTask" and case.body is None)
