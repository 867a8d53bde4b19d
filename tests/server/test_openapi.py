"""The description of the interface is true: whatever it allows to be asked is answered as it says."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from diadem.trust.http_signature import body_digest, sign
from diadem.trust.keys import PrivateKey
from tests.server.conftest import Served

CHECKED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


class Signed(requests.auth.AuthBase):
    """Signs each request as a client of ours would."""

    def __init__(self, served: Served, key: PrivateKey) -> None:
        self._node, self._key = served.said["node"], key

    def __call__(self, request: Any) -> Any:
        place = urlsplit(request.path_url)
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        given = {"digest": body_digest(data), "to": self._node, "key": self._key, "now": int(time.time())}
        request.headers.update(sign(request.method, place.path, place.query, **given))
        request.headers["Diadem-Key"] = self._key.public.to_text()
        return request


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.program("many requests that a program thinks of")
def test_nothing_that_is_described_fails_or_answers_otherwise(served: Served) -> None:
    with served.client() as client:
        document = client.get_json("openapi.json")
    assert document["openapi"] == "3.1.0"
    schema = schemathesis.openapi.from_dict(document)
    session = requests.Session()
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            auth = Signed(served, served.key) if asked % 4 else Signed(served, PrivateKey.from_seed(bytes(32)))
            response = case.call(base_url=served.url, session=session, auth=auth, verify=False)
            case.validate_response(response, checks=CHECKED)

        ask()
    session.close()
    assert asked > 20
