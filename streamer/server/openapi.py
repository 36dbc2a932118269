"""The HTTP interface as OpenAPI 3.1, generated from the table of operations."""

from __future__ import annotations

from importlib.metadata import version

from streamer.server.routes.operations import JSON, OPERATIONS, STRING, TEXT, Json, Operation
from streamer.server.routes.scopes import SCOPES


def document(tokens: bool) -> Json:
    """Return the OpenAPI document. tokens: whether the server requires access tokens."""
    paths: dict[str, Json] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation, tokens)
    found: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "avatar-streamer",
            "version": version("avatar-streamer"),
            "summary": "A live talking avatar over WebRTC",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
    }
    if tokens:
        found["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    return found


def _operation(method: str, path: str, operation: Operation, tokens: bool) -> Json:
    found: Json = {"operationId": operation.name, "summary": operation.summary, "responses": {}}
    named = [name.split("}")[0] for name in path.split("{")[1:]]
    parameters = [{"name": name, "in": "path", "required": True, "schema": STRING} for name in named]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in (operation.query or {}).items()]
    if parameters:
        found["parameters"] = parameters
    if operation.body:
        found["requestBody"] = {"required": True, "content": {operation.body: {"schema": STRING}}}
    for status, media in operation.answers.items():
        answer: Json = {"description": "done" if status != 101 else "the WebSocket is open"}
        if media:
            answer["content"] = {media: {"schema": {"type": "object"} if media == JSON else STRING}}
        if operation.headers:
            answer["headers"] = {name: {"schema": STRING} for name in operation.headers}
        found["responses"][str(status)] = answer
    needed = SCOPES.get((method, path), ("admin",)) if tokens else ()
    for status in sorted({*operation.refused, 429, *((401, 403) if needed else ())}):
        found["responses"][str(status)] = {"description": "refused", "content": {TEXT: {"schema": STRING}}}
    if needed:
        found["security"] = [{"token": []}]
        found["description"] = f"Needs a token of the scope {' or '.join(needed)}."
    return found
