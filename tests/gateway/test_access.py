"""Who may do what: every route with every role, every kind with every role, and only with a token that is valid."""

import base64
import hmac
import json
import time
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from gateway.domain.callers import SCOPES_OF_ROLE, Scope
from gateway.domain.requests import POSTED_HERE
from shared.contracts.kinds import GAME_KINDS, Kind
from shared.tokens import Role
from tests.gateway.fakes import OTHER_PLAYER, PLAYER, FakeWallet
from tests.gateway.support import BET, bearer, build, client_of, development_keys, token

ALL = frozenset(Role)
STAFF = frozenset({Role.SUPPORT, Role.RISK, Role.COMPLIANCE, Role.FINANCE, Role.ADMIN})
WRITERS = frozenset({Role.GAME_SERVER, Role.FINANCE, Role.ADMIN})
LIMITERS = frozenset({Role.RISK, Role.COMPLIANCE, Role.ADMIN})
HELPERS = frozenset({Role.SUPPORT, Role.COMPLIANCE, Role.ADMIN})
BLOCKERS = frozenset({Role.RISK, Role.ADMIN})
CASHIERS = frozenset({Role.FINANCE, Role.ADMIN})

# Method, path, body, and who is let in. The path names a foreign player, so that the role alone opens it.
OFFICERS = frozenset({Role.COMPLIANCE, Role.ADMIN})
GUARDS = LIMITERS | {Role.SUPPORT}
ROUTES: dict[tuple[str, str], tuple[dict[str, Any] | None, frozenset[Role]]] = {
    ("POST", "/api/v1/transactions"): ({}, WRITERS),
    ("POST", "/api/v1/transactions/batch"): ({}, WRITERS),
    ("GET", "/api/v1/transactions/{transaction_id}"): (None, ALL),
    ("GET", "/api/v1/transactions/{transaction_id}/receipt"): (None, ALL),
    ("GET", "/api/v1/users/{user_id}/wallet"): (None, STAFF | {Role.GAME_SERVER}),
    ("GET", "/api/v1/users/{user_id}/transactions"): (None, STAFF),
    ("GET", "/api/v1/users/{user_id}/balance-audit"): (None, STAFF - {Role.RISK}),
    ("GET", "/api/v1/users/{user_id}/bet-velocity"): (None, frozenset({Role.RISK, Role.SUPPORT, Role.ADMIN})),
    ("POST", "/api/v1/reconciliations"): ({}, STAFF - {Role.RISK, Role.SUPPORT}),
    ("GET", "/api/v1/reconciliations"): (None, STAFF - {Role.RISK, Role.SUPPORT}),
    ("GET", "/api/v1/reconciliations/{reconciliation_id}"): (None, STAFF - {Role.RISK, Role.SUPPORT}),
    ("GET", "/api/v1/integrity"): (None, STAFF - {Role.RISK}),
    ("GET", "/api/v1/users/{user_id}/limits"): (None, STAFF),
    ("GET", "/api/v1/users/{user_id}/limit-requests"): (None, STAFF),
    ("GET", "/api/v1/users/{user_id}/limit-changes"): (None, STAFF),
    ("GET", "/api/v1/users/{user_id}/metrics"): (None, STAFF),
    ("PUT", "/api/v1/users/{user_id}/limits/{name}"): ({}, LIMITERS),
    ("DELETE", "/api/v1/users/{user_id}/limits/{name}"): ({}, LIMITERS),
    ("POST", "/api/v1/users/{user_id}/limit-requests"): ({}, HELPERS),
    ("POST", "/api/v1/users/{user_id}/limit-requests/{name}/confirmation"): ({}, HELPERS),
    ("DELETE", "/api/v1/users/{user_id}/limit-requests/{name}"): (None, HELPERS),
    ("POST", "/api/v1/users/{user_id}/fraud-block"): ({}, BLOCKERS),
    ("DELETE", "/api/v1/users/{user_id}/fraud-block"): ({}, BLOCKERS),
    ("GET", "/api/v1/users/{user_id}/fraud-score"): (None, BLOCKERS | {Role.SUPPORT}),
    ("GET", "/api/v1/users/{user_id}/fraud-score/history"): (None, BLOCKERS | {Role.SUPPORT}),
    ("GET", "/api/v1/fraud/flags"): (None, BLOCKERS | {Role.SUPPORT}),
    ("GET", "/api/v1/fraud/flags/{flag_id}"): (None, BLOCKERS | {Role.SUPPORT}),
    ("POST", "/api/v1/fraud/flags/{flag_id}/resolution"): ({}, BLOCKERS),
    ("POST", "/api/v1/fraud/flags/{flag_id}/snooze"): ({}, BLOCKERS),
    ("POST", "/api/v1/fraud/flags/{flag_id}/assignment"): ({}, BLOCKERS),
    ("POST", "/api/v1/fraud/flags/{flag_id}/notes"): ({}, BLOCKERS),
    ("GET", "/api/v1/fraud/rules"): (None, BLOCKERS | {Role.SUPPORT}),
    ("POST", "/api/v1/fraud/rules"): ({}, BLOCKERS),
    ("POST", "/api/v1/fraud/rules/{version}/activation"): (None, BLOCKERS),
    ("POST", "/api/v1/fraud/rules/{version}/shadow"): (None, BLOCKERS),
    ("POST", "/api/v1/fraud/rules/{version}/retirement"): (None, BLOCKERS),
    ("GET", "/api/v1/users/{user_id}/fraud-snoozes"): (None, BLOCKERS | {Role.SUPPORT}),
    ("POST", "/api/v1/users/{user_id}/fraud-snoozes"): ({}, BLOCKERS),
    ("DELETE", "/api/v1/users/{user_id}/fraud-snoozes/{snooze_id}"): (None, BLOCKERS),
    ("POST", "/api/v1/users/{user_id}/fraud-reprocessing"): (None, BLOCKERS),
    ("POST", "/api/v1/fraud/reprocessing"): (None, BLOCKERS),
    ("GET", "/api/v1/fraud/reprocessing/{job_id}"): (None, BLOCKERS | {Role.SUPPORT}),
    ("GET", "/api/v1/fraud/reprocessing/{job_id}/progress"): (None, BLOCKERS | {Role.SUPPORT}),
    ("POST", "/api/v1/fraud/backtests"): ({}, BLOCKERS),
    ("GET", "/api/v1/fraud/backtests/{job_id}"): (None, BLOCKERS | {Role.SUPPORT}),
    ("GET", "/api/v1/fraud/backtests/{job_id}/progress"): (None, BLOCKERS | {Role.SUPPORT}),
    ("GET", "/api/v1/fraud/monitoring"): (None, BLOCKERS | {Role.SUPPORT}),
    ("GET", "/api/v1/users/{user_id}/kyc"): (None, STAFF),
    ("POST", "/api/v1/users/{user_id}/kyc"): ({}, OFFICERS),
    ("POST", "/api/v1/users/{user_id}/kyc/decision"): ({}, OFFICERS),
    ("DELETE", "/api/v1/users/{user_id}/kyc"): ({}, OFFICERS),
    ("POST", "/api/v1/users/{user_id}/exclusions"): ({}, GUARDS),
    ("POST", "/api/v1/users/{user_id}/time-outs"): ({}, GUARDS),
    ("POST", "/api/v1/users/{user_id}/suspension"): ({}, LIMITERS),
    ("GET", "/api/v1/users/{user_id}/exclusions"): (None, STAFF),
    ("GET", "/api/v1/users/{user_id}/exclusions/{exclusion_id}"): (None, STAFF),
    ("POST", "/api/v1/users/{user_id}/exclusions/{exclusion_id}/ending"): (None, GUARDS),
    ("DELETE", "/api/v1/users/{user_id}/exclusions/{exclusion_id}/ending"): (None, GUARDS),
    ("PUT", "/api/v1/users/{user_id}/play-limits"): ({}, HELPERS),
    ("PUT", "/api/v1/users/{user_id}/reality-check"): ({}, HELPERS),
    ("POST", "/api/v1/users/{user_id}/reality-check/acknowledgement"): (None, HELPERS),
    ("GET", "/api/v1/users/{user_id}/status"): (None, STAFF),
    ("GET", "/api/v1/users/{user_id}/responsible-gaming"): (None, STAFF),
    ("POST", "/api/v1/limit-checks"): ({}, WRITERS | {Role.PLAYER, Role.SUPPORT}),
    ("POST", "/api/v1/transactions/{transaction_id}/reversal"): ({}, CASHIERS),
    ("POST", "/api/v1/transactions/{transaction_id}/release"): ({}, CASHIERS),
    ("GET", "/api/v1/held-payouts"): (None, CASHIERS),
    ("POST", "/api/v1/transactions/{transaction_id}/dispute"): ({}, STAFF),
    ("POST", "/api/v1/transactions/{transaction_id}/dispute/resolution"): ({}, STAFF),
    ("GET", "/api/v1/audit-log"): (None, frozenset({Role.COMPLIANCE, Role.ADMIN})),
    ("POST", "/api/v1/console/sign-ins"): ({}, STAFF),
    ("POST", "/api/v1/compliance-audits"): ({}, frozenset({Role.COMPLIANCE, Role.ADMIN})),
    ("GET", "/api/v1/compliance-audits"): (None, frozenset({Role.COMPLIANCE, Role.ADMIN})),
    ("GET", "/api/v1/compliance-audits/{audit_id}"): (None, frozenset({Role.COMPLIANCE, Role.ADMIN})),
    # Whose payment it is stands in the body, which is wrong here, and in the answer.
    ("POST", "/api/v1/payments/deposits"): ({}, CASHIERS | {Role.PLAYER}),
    ("POST", "/api/v1/payments/withdrawals"): ({}, CASHIERS | {Role.PLAYER}),
    ("GET", "/api/v1/payments"): (None, STAFF | {Role.PLAYER}),
    ("GET", "/api/v1/payments/{payment_id}"): (None, STAFF | {Role.PLAYER}),
    ("POST", "/api/v1/payments/{payment_id}/cancellation"): ({}, CASHIERS | {Role.PLAYER}),
    ("POST", "/api/v1/payments/{payment_id}/completion"): ({}, CASHIERS),
    ("POST", "/api/v1/payments/{payment_id}/review"): ({}, CASHIERS),
    ("POST", "/api/v1/payments/{payment_id}/refund"): ({}, CASHIERS),
    ("GET", "/api/v1/payments/availability"): (None, STAFF),
    ("PUT", "/api/v1/payments/availability"): ({}, CASHIERS),
    ("POST", "/api/v1/settlement-batches"): ({}, CASHIERS),
    ("GET", "/api/v1/settlement-batches"): (None, CASHIERS),
    ("GET", "/api/v1/settlement-batches/{batch_id}"): (None, CASHIERS),
    ("POST", "/api/v1/settlement-batches/{batch_id}/retry"): ({}, CASHIERS),
    ("GET", "/api/v1/settlement-exceptions"): (None, CASHIERS),
    ("POST", "/api/v1/settlement-exceptions/{exception_id}/resolution"): ({}, CASHIERS),
    ("GET", "/api/v1/reports/daily/{date}"): (None, frozenset({Role.FINANCE, Role.ADMIN, Role.RISK})),
    ("GET", "/api/v1/reports/summary"): (None, frozenset({Role.FINANCE, Role.ADMIN, Role.RISK})),
    ("GET", "/api/v1/reports/export"): (None, frozenset({Role.FINANCE, Role.ADMIN})),
}
OPEN_ROUTES = {
    ("POST", "/api/v1/webhooks/kyc"),
    ("POST", "/api/v1/webhooks/{provider}"),
    ("GET", "/api/v1/health/live"),
    ("GET", "/api/v1/health/ready"),
}


def concrete(path: str) -> str:
    filled = path.replace("{user_id}", str(OTHER_PLAYER)).replace("{date}", "2026-11-24")
    filled = filled.replace("{name}", "DAILY_LOSS_LIMIT")
    some_id = "00000000-0000-0000-0000-000000000001"
    return (
        filled.replace("{transaction_id}", some_id)
        .replace("{reconciliation_id}", some_id)
        .replace("{audit_id}", some_id)
        .replace("{exclusion_id}", some_id)
        .replace("{flag_id}", some_id)
        .replace("{snooze_id}", some_id)
        .replace("{job_id}", some_id)
        .replace("{version}", "1")
        .replace("{payment_id}", some_id)
        .replace("{batch_id}", some_id)
        .replace("{exception_id}", some_id)
    )


def described(app: FastAPI) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, operations in app.openapi()["paths"].items() for method in operations}


def test_every_route_is_in_this_table_and_in_the_document(wallet: FakeWallet) -> None:
    app = build(wallet)
    beside = {"/metrics", "/docs", "/asyncapi", "/console", "/openapi.json"}
    served = {route.path for route in app.routes if isinstance(route, APIRoute)}

    assert described(app) == ROUTES.keys() | OPEN_ROUTES
    assert {path for path in served if not path.startswith("/api/")} <= beside


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_each_route_lets_in_its_roles_and_no_other(
    client: httpx2.AsyncClient, method: str, path: str, role: Role
) -> None:
    body, allowed = ROUTES[method, path]
    query = {"from": "2026-11-01", "to": "2026-11-24"} if "/reports/" in path else {"currency": "USD"}

    response = await client.request(method, concrete(path), json=body, params=query, headers=bearer(role))

    assert response.status_code != 401
    assert (response.status_code != 403) == (role in allowed), response.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_token_nothing_is_told(client: httpx2.AsyncClient, method: str, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer x.y.z"},
    ):
        response = await client.request(method, concrete(path), headers=headers)

        assert (response.status_code, response.json()["code"]) == (401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["wallet", "transactions", "limits", "limit-requests", "metrics", "status", "responsible-gaming"]
)
async def test_a_player_sees_only_itself(client: httpx2.AsyncClient, wallet: FakeWallet, path: str) -> None:
    wallet.cash_minor = {(PLAYER, "USD"): 1, (OTHER_PLAYER, "USD"): 1}

    own = await client.get(f"/api/v1/users/{PLAYER}/{path}", headers=bearer(Role.PLAYER))
    foreign = await client.get(f"/api/v1/users/{OTHER_PLAYER}/{path}", headers=bearer(Role.PLAYER))

    assert (own.status_code, foreign.status_code) == (200, 403)


@pytest.mark.parametrize("silent", [True, False])
async def test_a_transaction_is_seen_by_its_player_by_staff_and_by_who_may_post_its_kind(
    client: httpx2.AsyncClient, wallet: FakeWallet, silent: bool
) -> None:
    wallet.silent = silent
    posted = await client.post(
        "/api/v1/transactions", json=BET, headers={**bearer(Role.GAME_SERVER), "Idempotency-Key": "1"}
    )
    path = f"/api/v1/transactions/{posted.json()['transaction']['id']}"
    seen = 202 if silent else 200
    expected = dict.fromkeys(Role, seen)

    found = {role: (await client.get(path, headers=bearer(role))).status_code for role in Role}
    foreign = await client.get(path, headers=bearer(Role.PLAYER, user_id=OTHER_PLAYER))

    assert found == expected
    assert foreign.status_code == 403


async def test_a_game_server_does_not_see_what_it_may_not_post(client: httpx2.AsyncClient) -> None:
    deposit = {"user_id": PLAYER, "type": "DEPOSIT", "amount": "1.00", "currency": "USD", "provider": "bank"}
    posted = await client.post(
        "/api/v1/transactions", json=deposit, headers={**bearer(Role.FINANCE), "Idempotency-Key": "1"}
    )

    path = f"/api/v1/transactions/{posted.json()['transaction']['id']}"
    assert (await client.get(path, headers=bearer(Role.GAME_SERVER))).status_code == 403


@pytest.mark.parametrize("kind", POSTED_HERE)
async def test_each_kind_is_posted_by_its_roles_and_no_other(
    client: httpx2.AsyncClient, wallet: FakeWallet, kind: Kind
) -> None:
    body = {**BET, "type": kind, "provider": "bank", "reason": "why"}
    allowed = {Role.GAME_SERVER, Role.ADMIN} if kind in GAME_KINDS else {Role.FINANCE, Role.ADMIN}

    for role in Role:
        headers = {**bearer(role), "Idempotency-Key": f"{kind}-{role}"}
        response = await client.post("/api/v1/transactions", json=body, headers=headers)
        assert (response.status_code != 403) == (role in allowed), (role, response.text)

    assert len(wallet.asked) == len(allowed)


@pytest.mark.parametrize("kind", sorted(set(Kind) - set(POSTED_HERE)))
async def test_what_has_an_endpoint_of_its_own_is_posted_by_nobody(
    client: httpx2.AsyncClient, wallet: FakeWallet, kind: Kind
) -> None:
    body = {**BET, "type": kind, "reference_id": "DAILY_LOSS_LIMIT", "provider": "bank", "reason": "why"}

    for role in WRITERS:
        headers = {**bearer(role), "Idempotency-Key": "1"}
        response = await client.post("/api/v1/transactions", json=body, headers=headers)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "type")

    assert wallet.asked == []


@pytest.mark.parametrize("kind", POSTED_HERE)
async def test_a_transaction_is_checked_by_who_may_post_it_by_support_and_some_by_their_player(
    client: httpx2.AsyncClient, wallet: FakeWallet, kind: Kind
) -> None:
    body = {**BET, "type": kind, "provider": "bank", "reason": "why"}
    writers = {Role.GAME_SERVER, Role.ADMIN} if kind in GAME_KINDS else {Role.FINANCE, Role.ADMIN}
    own = {Role.PLAYER} if kind in {Kind.DEPOSIT, Kind.GAME_BET} else set()

    for role in Role:
        response = await client.post("/api/v1/limit-checks", json=body, headers=bearer(role))
        assert (response.status_code != 403) == (role in writers | {Role.SUPPORT} | own), (role, response.text)

    stranger = bearer(Role.PLAYER, user_id=OTHER_PLAYER)
    assert (await client.post("/api/v1/limit-checks", json=body, headers=stranger)).status_code == 403


class TestScopes:
    async def test_a_scope_opens_what_it_names(self, client: httpx2.AsyncClient) -> None:
        headers = _with_claims(scope="reports:read other:thing")

        assert (await client.get("/api/v1/reports/daily/2026-11-24", headers=headers)).status_code == 200
        assert (await client.get("/api/v1/users/1/wallet", headers=headers)).status_code == 403

    async def test_a_scope_narrows_a_role_and_never_widens_it(self, client: httpx2.AsyncClient) -> None:
        headers = _with_claims(role="support", scope="fraud:read reports:read")

        assert (await client.get(f"/api/v1/users/{PLAYER}/bet-velocity", headers=headers)).status_code == 200
        assert (await client.get("/api/v1/reports/daily/2026-11-24", headers=headers)).status_code == 403
        assert (await client.get(f"/api/v1/users/{PLAYER}/wallet", headers=headers)).status_code == 403

    def test_admin_may_do_everything_that_is_not_for_players_alone(self) -> None:
        assert SCOPES_OF_ROLE[Role.ADMIN] == {scope for scope in Scope if not scope.endswith(":own")}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"role": "emperor"},
        {"role": 7},
        {"role": ["admin"]},
        {"role": "player"},
        {"role": "player", "user_id": "42"},
        {"role": "player", "user_id": True},
        {"role": "player", "user_id": 0},
        {"role": "player", "user_id": 2**63},
        {"scope": ["wallet:read"]},
        {"role": "admin", "sub": ""},
        {"role": "admin", "sub": 7},
        {"role": "admin", "sub": "a" * 129},
        {"role": "admin", "sub": "a\x00b"},
        {"role": "admin", "sub": "\ud800"},
        {"role": "admin", "sub": "payments_service"},
        {"role": "admin", "client_id": None},
        {"role": "admin", "iss": "somebody"},
        {"role": "admin", "aud": "somebody"},
        {"role": "admin", "aud": []},
        {"role": "admin", "exp": None},
        {"role": "admin", "exp": 1},
        {"role": "admin", "exp": "tomorrow"},
        {"role": "admin", "nbf": 9_999_999_999},
    ],
)
async def test_a_token_whose_claims_are_wrong_is_no_token(client: httpx2.AsyncClient, claims: dict[str, Any]) -> None:
    response = await client.get("/api/v1/users/1/wallet", headers=_with_claims(**claims))

    assert response.status_code == 401, response.text


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_a_token_that_is_not_signed_by_the_issuer_is_no_token(client: httpx2.AsyncClient, algorithm: str) -> None:
    public = ECKey.import_key(development_keys()[1]["keys"][0])
    # The old tricks: no signature, and the public key, which everybody has, as the secret of a symmetric one.
    signed = f"{_encoded({'alg': algorithm, 'kid': public.kid})}.{_encoded(_claims(role='admin'))}"
    mac = hmac.digest(public.as_pem(private=False), signed.encode(), "sha256") if algorithm == "HS256" else b""
    stranger = ECKey.generate_key("P-256")

    for forgery in (
        f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        jwt.encode({"alg": "ES256", "kid": public.kid}, _claims(role="admin"), stranger),
        jwt.encode({"alg": "ES256", "kid": "unknown"}, _claims(role="admin"), stranger),
        jwt.encode({"alg": "ES256"}, _claims(role="admin"), stranger),
        token(Role.ADMIN)[:-4] + "AAAA",
    ):
        response = await client.get("/api/v1/users/1/wallet", headers={"Authorization": f"Bearer {forgery}"})
        assert response.status_code == 401


async def test_the_documents_are_for_everybody_and_need_no_other_server(wallet: FakeWallet) -> None:
    async with client_of(build(wallet)) as client:
        page = await client.get("/docs")
        script = await client.get("/docs/assets/swagger-ui-bundle.js")
        openapi = await client.get("/openapi.json")
        asyncapi = await client.get("/asyncapi")
        metrics = await client.get("/metrics")

    assert "://" not in page.text.replace("http://www.w3.org", "")
    assert script.status_code == 200
    assert openapi.json()["openapi"].startswith("3.1")
    assert asyncapi.json()["asyncapi"].startswith("3.")
    assert 'route="/docs"' in metrics.text


async def test_a_request_is_measured_under_its_routes_whole_path(wallet: FakeWallet) -> None:
    async with client_of(build(wallet)) as client:
        await client.get("/api/v1/users/7/wallet", headers=bearer(Role.ADMIN))
        await client.get("/nothing")
        metrics = (await client.get("/metrics")).text

    assert 'method="GET",route="/api/v1/users/{user_id}/wallet",status="404"' in metrics
    assert 'method="unmatched",route="unmatched",status="404"' in metrics


def test_the_document_says_what_each_route_may_answer(wallet: FakeWallet) -> None:
    document = build(wallet).openapi()

    for method, path in ROUTES:
        operation = document["paths"][path][method.lower()]
        assert operation["security"] == [{"bearer": []}]
        assert {"401", "403", "422", "429", "503"} <= operation["responses"].keys()
        problem = operation["responses"]["422"]["content"]
        assert problem == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    schemas = document["components"]["schemas"]
    for name in _references(document):
        assert name in schemas
    posted = document["paths"]["/api/v1/transactions"]["post"]
    assert posted["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/TransactionRequest")
    assert "Idempotency-Key" in {parameter["name"] for parameter in posted["parameters"]}


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"].rsplit("/", 1)[1]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(inner) for inner in node.values()))
    if isinstance(node, list):
        return set().union(*(_references(inner) for inner in node))
    return set()


def _claims(**claims: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": "langsense", "aud": "langsense", "sub": "someone", "exp": now + 60, "nbf": now, **claims}


def _with_claims(**claims: Any) -> dict[str, str]:
    key = ECKey.import_key(development_keys()[0])
    encoded = _claims(**claims)
    # json escapes what is no character; joserfc would not write it.
    signed = jws.serialize_compact({"alg": "ES256", "kid": key.kid}, json.dumps(encoded), key)
    return {"Authorization": f"Bearer {signed}"}


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
