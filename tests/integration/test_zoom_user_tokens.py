"""The tokens of users: refreshed by one process at a time, and used for other accounts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from structlog.testing import capture_logs

from config import Config
from models import ZOOM_USERS
from rtms import clock
from rtms.db.database import Database
from rtms.services import Services
from rtms.zoom.token_answers import NoToken
from rtms.zoom_users.encryption import TokenCipher
from rtms.zoom_users.installing import install
from rtms.zoom_users.tokens import TokenOfAccount, UserTokens
from sandbox import ZoomApiSandbox
from sandbox.zoom_tokens import ZoomUser
from tests.integration.conftest import Rows
from tests.integration.test_stream_requests import lose, requests_of, send_due

KEY = Fernet.generate_key().decode()
REDIRECT = "https://rtms.example.com/oauth-callback/zoom"
USER = ZoomUser()


@pytest.fixture
def environ(environ: dict[str, str], zoom_api: ZoomApiSandbox) -> dict[str, str]:
    return {**environ, **zoom_api.environ, "TOKEN_ENCRYPTION_KEY": KEY}


def add(services: Services, zoom_api: ZoomApiSandbox, user: ZoomUser = USER) -> None:
    code = zoom_api.tokens.grant_code(user, REDIRECT)
    oauth = services.user_oauth(timeout=5.0)
    install(services.database, oauth, TokenCipher([KEY]), code=code, redirect_uri=REDIRECT)


def tokens_of(services: Services, database: Database | None = None, key: str = KEY) -> UserTokens:
    oauth = services.user_oauth(timeout=5.0)
    return UserTokens(database or services.database, oauth, TokenCipher([key]))


def token(tokens: UserTokens, user: ZoomUser = USER) -> str:
    found = tokens.of(account_id=user.account_id, operator_id=user.id)
    assert isinstance(found, TokenOfAccount)
    return found.get().value


def row(services: Services) -> Any:
    with services.database.read() as connection:
        return connection.execute(sa.select(ZOOM_USERS)).one()


def age(services: Services, **values: Any) -> None:
    change = {"expires_at": clock.now() + timedelta(seconds=30), **values}
    services.database.write(lambda c: c.execute(ZOOM_USERS.update().values(**change)))


def test_a_token_is_used_until_shortly_before_its_end(
    services: Services, zoom_api: ZoomApiSandbox
) -> None:
    add(services, zoom_api)
    asked = len(zoom_api.ledger)
    assert token(tokens_of(services)) == zoom_api.tokens.issued[0]
    assert len(zoom_api.ledger) == asked
    before = row(services)
    age(services)
    assert token(tokens_of(services)) == zoom_api.tokens.issued[1]
    after = row(services)
    assert after.refresh_token != before.refresh_token
    assert (after.lease_owner, after.last_error) == (None, None)
    assert after.refreshed_at
    age(services)
    assert token(tokens_of(services)) == zoom_api.tokens.issued[2]  # the stored one was good


def test_of_many_threads_and_two_processes_one_refreshes(
    services: Services, config: Config, zoom_api: ZoomApiSandbox
) -> None:
    add(services, zoom_api)
    age(services)
    zoom_api.add_fault("latency", path="token", seconds=0.3)
    other = Database(config.database_url)
    both = [tokens_of(services), tokens_of(services, other)]

    def fetch(number: int) -> str | None:
        try:
            return token(both[number % 2])
        except NoToken as error:
            assert error.passes
            return None

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(fetch, range(8))) - {None}
    other.dispose()
    assert found == {zoom_api.tokens.issued[1]}
    assert len(zoom_api.tokens.issued) == 2
    assert not row(services).must_install_again


def test_a_lease_of_a_process_that_died_ends(services: Services, zoom_api: ZoomApiSandbox) -> None:
    add(services, zoom_api)
    soon = clock.now() + timedelta(seconds=30)
    age(services, lease_owner="dead", leased_until=soon)
    with pytest.raises(NoToken, match="Another process"):
        token(tokens_of(services))
    age(services, lease_owner="dead", leased_until=clock.now())
    assert token(tokens_of(services)) == zoom_api.tokens.issued[1]


def test_a_user_whose_refresh_token_zoom_refuses_must_install_again(
    services: Services, zoom_api: ZoomApiSandbox
) -> None:
    add(services, zoom_api)
    zoom_api.tokens.uninstall(USER)
    age(services)
    with capture_logs() as lines, pytest.raises(NoToken):
        token(tokens_of(services))
    assert [line["event"] for line in lines] == ["a user must install the app again"]
    assert row(services).must_install_again
    assert tokens_of(services).of(account_id=USER.account_id, operator_id=USER.id) is None
    add(services, zoom_api)
    assert token(tokens_of(services)) == zoom_api.tokens.issued[-1]


def test_zoom_in_trouble_ends_no_installation(services: Services, zoom_api: ZoomApiSandbox) -> None:
    add(services, zoom_api)
    age(services)
    zoom_api.add_fault("status", status=503, path="token")
    with pytest.raises(NoToken):
        token(tokens_of(services))
    assert "503" in row(services).last_error
    assert token(tokens_of(services)) == zoom_api.tokens.issued[1]
    assert row(services).last_error is None


def test_a_lost_key_is_told_once_and_its_return_mends_it(
    services: Services, zoom_api: ZoomApiSandbox
) -> None:
    add(services, zoom_api)
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(NoToken, match="install the app again"):
                token(tokens_of(services, key=Fernet.generate_key().decode()))
    assert len(lines) == 1
    assert "install the app again" in row(services).last_error
    assert token(tokens_of(services)) == zoom_api.tokens.issued[0]


@pytest.mark.parametrize(
    "operator", [USER.id, "somebody else of the account"], ids=["own", "other"]
)
def test_a_meeting_of_another_account_gets_the_token_of_any_user_of_it(
    services: Services, zoom_api: ZoomApiSandbox, operator: str
) -> None:
    add(services, zoom_api)
    tokens = tokens_of(services)
    assert tokens.of(account_id=USER.account_id, operator_id=operator)
    assert bool(tokens.of(account_id=None, operator_id=operator)) == (operator == USER.id)
    own = USER.account_id
    assert tokens.of(account_id=None, operator_id=operator, own_account_id=own) is None
    assert tokens.of(account_id="a third", operator_id="somebody") is None


def test_a_lost_stream_of_another_account_is_asked_for_with_its_users_token(
    services: Services, rows: Rows, zoom_api: ZoomApiSandbox
) -> None:
    add(services, zoom_api)
    stream = lose(services, rows, account_id=USER.account_id, operator_id=USER.id)
    zoom_api.begin_meeting(stream)
    zoom_api.tokens.revoke()  # a 401 refreshes once
    send_due(services, services.restart_job)
    (request,) = requests_of(services)
    assert (request.state, request.last_error) == ("accepted", None)
    (issued,) = zoom_api.tokens.issued
    assert zoom_api.tokens.rights_of(f"Bearer {issued}").user == USER  # type: ignore[union-attr]
