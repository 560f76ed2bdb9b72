"""The OpenAPI document against the application: everything it promises, tried by schemathesis with all its checks.

As an operator and as a customer's key. To read an operation's schema takes longer than to try it, so in small it is each third one;
POSTERN_FULL=1 tries them all, and each a hundred and twenty times as often.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from tests.fixtures.panel import Api, Office, make_office
from web import LARGEST
from web.allowance import Allowance

EXAMPLES, EVERY = (120, 1) if os.environ.get("POSTERN_FULL") else (1, 3)
# What no schema can say: whether a text is a certificate, and whether the parts of a document fit one another. The refusal is
# 422, like that of any other value that makes no sense.
SENSE = {"positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 422, 429]}}
CONFIG: dict[str, Any] = {
    # Who asks is decided here, and a missing key is the matrix's matter.
    "generation": {"with-security-parameters": False},
    "operations": [
        {"include-name": name, "checks": SENSE} for name in ("POST /api/v1/certificates", "PUT /api/v1/apply")
    ],
}


@dataclass
class Shop:
    """An application with something in it, and who asks."""

    office: Office
    keys: dict[str, str]
    schema: Any


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with make_office(tmp_path_factory.mktemp("shop")) as office:
        operator, tenant = office.api(), office.tenant("Shop Ltd")
        _furnish(operator, tenant)
        object.__setattr__(office.app.state.wiring, "allowance", Allowance(0))
        keys = {"operator": operator, "customer": office.api(tenant)}
        config = SchemathesisConfig.from_dict(CONFIG)
        schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", office.app, config=config)
        yield Shop(office, {name: api.client.headers["Authorization"] for name, api in keys.items()}, schema)


def _furnish(operator: Api, tenant: int) -> None:
    """What the document's examples speak of is there."""
    for body in (
        {"name": "example.com", "tenant_id": tenant},
        {"name": "away.example", "tenant_id": tenant, "next_hop": "mail.away.example", "source": "list"},
    ):
        assert operator("POST", "/domains", body).status_code == 201
    for name in ("anna", "ben"):
        assert operator("POST", "/mailboxes", {"address": f"{name}@example.com"}).status_code == 201
    body = {"address": "sales@example.com", "targets": ["anna@example.com"]}
    assert operator("POST", "/aliases", body).status_code == 201


def _operations(schema: Any) -> Iterator[Any]:
    for result in schema.get_all_operations():
        yield result.ok()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_the_application_does_what_its_document_says(shop: Shop, mode: GenerationMode) -> None:
    """No operation answers 5xx to anything, nor anything that the document does not tell of, whoever asks."""
    found: list[str] = []
    first = {GenerationMode.POSITIVE: 0, GenerationMode.NEGATIVE: EVERY // 2}
    for operation in itertools.islice(_operations(shop.schema), first[mode], None, EVERY):

        @settings(
            max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def attempt(case: Any) -> None:
            # An unknown parameter that is an empty list is not sent at all, and what is sent is valid. Not `assume`: where
            # that is all there is to be tried, Hypothesis would complain that it has nothing to try.
            if [] in (case.query or {}).values():
                return
            for who in ("customer", "operator"):  # To think of a case takes longer than to try it.
                response = case.call(headers={"Authorization": shop.keys[who]})
                assert response.status_code < 500, f"{who}: {case.as_curl_command()}: {response.text}"
                case.validate_response(response)

        try:
            attempt()
        except Unsatisfiable:  # It has nothing that could be wrong: one thing to read, and no parameters.
            assert (mode, operation.method) == (GenerationMode.NEGATIVE, "get"), operation.label
        except (AssertionError, FailureGroup, schemathesis.errors.SchemathesisError) as finding:
            told = getattr(finding, "exceptions", [finding])
            found.append(f"{operation.label}\n" + "\n".join(str(one) for one in told))
    assert not found, "\n\n".join(found)


def test_every_operation_has_examples_that_fit(shop: Shop) -> None:
    """Those of its parameters, its body and its answers; and carried out in a dry run, a body is not refused for its form."""
    document = shop.office.app.openapi()
    client = shop.office.api().client
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            for parameter in operation.get("parameters", []):
                assert "example" in parameter, (verb, path, parameter["name"])
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    assert "example" in content, (verb, path, status)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None or "certificates" in path:
                continue
            names = {parameter["name"]: parameter["example"] for parameter in operation.get("parameters", [])}
            query = "?dry_run=true" if "dry_run" in names else ""
            where = path.format_map({name: str(value) for name, value in names.items()})
            answer = client.request(verb.upper(), where + query, json=body["example"])
            assert answer.status_code not in (400, 422, 500), (verb, where, body["example"], answer.text)


def test_every_bound_of_the_document_is_kept_by_who_reads_it(shop: Shop) -> None:
    """A reader may hold any number as a double (RFC 8259, section 6): a larger bound would be another to him."""
    assert [bound for bound in _bounds(shop.office.app.openapi()) if bound > LARGEST] == []


def _bounds(part: Any) -> Iterator[Any]:
    if isinstance(part, dict):
        yield from (part[key] for key in ("maximum", "exclusiveMaximum") if isinstance(part.get(key), int | float))
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _bounds(inner)


def test_every_operation_that_can_be_tried_first_shows_what_it_would_do(shop: Shop) -> None:
    document = shop.office.app.openapi()
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            names = [parameter["name"] for parameter in operation.get("parameters", [])]
            assert ("dry_run" in names) == (verb != "get"), (verb, path)
            if verb == "post":
                assert "idempotency-key" in {name.lower() for name in names}, path
