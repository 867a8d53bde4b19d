"""The whole table of routes, and what the listener says of itself: that it is here, and its interface in OpenAPI 3.1.

That is made from the table: what is not in it is neither told nor served.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from diadem.network.exchange import BASE, BYTES, PARAMETERS, Request, Response, Route, Services, route
from diadem.network.handlers import routes

_ERROR: Final = {"$ref": "#/components/schemas/Error"}
#: What the listener answers itself, to a request of any route.
_ALWAYS: Final = {
    400: "The query has parameters that are not known.",
    404: "Nothing is here, or nothing for you.",
    411: "The length of the body was not given.",
    413: "The body is too large.",
    429: "Too many requests.",
    431: "The head of the request is too large.",
    500: "The node failed.",
    503: "The node cannot do this now.",
}
_SIGNED: Final = {
    401: "Not signed in the profile, not now (code `clock`, with `server_time`), or not for the first time.",
    409: "Refused in the present state.",
    421: "Signed for another node.",
    422: "Damaged bytes.",
}
_RANGE: Final = {416: "The range is malformed, or outside the bytes."}
_BODY: Final = {408: "The body came too slowly."}
_ABOUT: Final = (
    "Nodes of DIADEM talk to each other. Requests are signed by RFC 9421, in one profile: label `diadem`,"
    ' covered ("@method" "@path" "@query" "content-digest" "diadem-to"), then created, expires (120 s at most), nonce'
    " (16 bytes, base64url), keyid (SHA-256 of the public key), alg, tag `diadem-v1`, in this order. TLS 1.3; the"
    " certificate is known by the SHA-256 of its public key. JSON is canonical: keys sorted, no spaces."
)


@route("GET", "health", auth="none", answers={200: "it does"})
def health(_: Request, __: Services) -> Response:
    """Whether a node listens here."""
    return Response.json({"ok": True})


@route("GET", "openapi.json", auth="none", answers={200: "OpenAPI 3.1"})
def openapi(_: Request, services: Services) -> Response:
    """This description."""
    return _described(services.version)


@cache
def _described(version: str) -> Response:
    return Response.json(description(every_route(), version=version))


def every_route() -> Sequence[Route]:
    """Every route."""
    return (health, openapi, *routes())


def description(table: Sequence[Route], *, version: str) -> dict[str, Any]:
    """The document.

    Parameters
    ----------
    table : sequence of Route
        All of them.
    version : str
        Of DIADEM.
    """
    paths: dict[str, dict[str, Any]] = {}
    for one in table:
        paths.setdefault(BASE + one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "DIADEM node", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": {"Error": _error_schema()},
            "securitySchemes": {
                "signature": {"type": "apiKey", "in": "header", "name": "Signature", "description": "RFC 9421"}
            },
        },
    }


def _operation(one: Route) -> dict[str, Any]:
    names = re.findall(r"\{([a-z_]+)\}", one.path)
    parameters = [_parameter(name, "path", PARAMETERS[name]) for name in names]
    parameters += [_parameter(name, "query", pattern) for name, pattern in one.query.items()]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", one.name.lower()).strip("_"),
        "summary": one.summary,
        "parameters": parameters,
        "responses": _responses(one),
    }
    if one.auth != "none":
        operation["security"] = [{"signature": []}]
    if one.body:
        schema: dict[str, Any] = {"type": "object"} if one.takes != BYTES else {"type": "string", "format": "binary"}
        operation["requestBody"] = {"required": True, "content": {one.takes: {"schema": schema}}}
    return operation


def _parameter(name: str, place: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": f"^(?:{pattern})$"}
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _responses(one: Route) -> dict[str, Any]:
    told = _ALWAYS | (_SIGNED if one.auth != "none" else {}) | (_BODY if one.body else {})
    told |= _RANGE if one.gives == BYTES else {}
    found = {
        str(status): {"description": words, "content": {"application/json": {"schema": _ERROR}}}
        for status, words in told.items()
    }
    for status, words in one.answers.items():
        found[str(status)] = {"description": words, "content": _content(one, status)}
    return dict(sorted(found.items()))


def _content(one: Route, status: int) -> dict[str, Any]:
    if status == 204:
        return {}
    if status >= 400:
        return {"application/json": {"schema": _ERROR}}
    return {one.gives: {"schema": {"type": "object"} if one.gives != BYTES else {}}}


def _error_schema() -> dict[str, Any]:
    text: dict[str, Any] = {"type": ["string", "null"]}
    inner = {
        "type": "object",
        "required": ["code", "message", "where", "next"],
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "where": text, "next": text},
    }
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}
