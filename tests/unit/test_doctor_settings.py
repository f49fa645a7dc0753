"""What the doctor says about the configuration alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config import Config
from rtms.configuration.spelling import Misspelt
from rtms.doctor import configuration
from rtms.doctor.finding import Finding, Grade, secrets_of
from tests.conftest import ENVIRON

SOUND = {
    **ENVIRON,
    "RECALL_BASE_URL": "",
    "DATABASE_URL": "sqlite:////tmp/none.sqlite3",
    "RECORDING_CONFIG": '{"video_mixed_mp4": {}, "retention": {}}',
}
S2S = {
    "ZOOM_S2S_ACCOUNT_ID": "account-of-the-tests",
    "ZOOM_S2S_CLIENT_ID": "client-of-the-tests",
    "ZOOM_S2S_CLIENT_SECRET": "secret-of-the-tests",
}
NOTHING_KEPT = '{"video_mixed_mp4": {}, "retention": null}'


def look(**variables: str) -> list[Finding]:
    return list(configuration.look(Config.from_environ({**SOUND, **variables}), {}))


def test_a_sound_configuration_is_told_and_nothing_else() -> None:
    (finding,) = look(ADMIN_PASSWORD="a long enough one", PUBLIC_URL="http://127.0.0.1:8000")
    assert finding.grade == Grade.OK
    assert "Recall: us-east-1;" in finding.found
    assert "dashboard: on;" in finding.found
    assert "archive: off;" in finding.found


def test_nothing_is_said_of_an_app_that_starts_streams() -> None:
    assert len(look(**S2S)) == 1
    assert len(look(**S2S, ZOOM_API_URL="http://127.0.0.1:8200/v2")) == 1


def test_nothing_is_said_of_zero_retention_where_nothing_is_archived() -> None:
    (finding,) = look(RECORDING_CONFIG=NOTHING_KEPT)
    assert finding.grade == Grade.OK


@pytest.mark.parametrize(
    ("variables", "grade", "words"),
    [
        ({"ADMIN_PASSWORD": "eleven char"}, Grade.WARNING, "fewer than 12"),
        ({"METRICS_TOKEN": "short"}, Grade.WARNING, "fewer than 16"),
        ({"RECALL_BASE_URL": "http://recall.example"}, Grade.FAILURE, "not https"),
        ({"RECALL_BASE_URL": "http://127.0.0.1.example"}, Grade.FAILURE, "not https"),
        ({"RECALL_BASE_URL": "https://recall.example"}, Grade.WARNING, "not a Recall region"),
        ({"RECALL_BASE_URL": "http://localhost:1"}, Grade.WARNING, "not a Recall region"),
        ({"RECALL_BASE_URL": "http://[::1]:1"}, Grade.WARNING, "not a Recall region"),
        ({"PUBLIC_URL": "https://example-name.ngrok-free.app"}, Grade.FAILURE, "placeholder"),
        ({"ADMIN_PASSWORD": "changeme-please"}, Grade.FAILURE, "placeholder"),
        ({"RECALL_API_KEY": "your-recall-api-key"}, Grade.FAILURE, "placeholder"),
        ({"RECALL_API_KEY": '"in-quotes"'}, Grade.WARNING, "quote"),
        ({"ZOOM_SECRET_TOKEN": "a,zoom-client-id"}, Grade.FAILURE, "are the same"),
        (
            {**S2S, "ZOOM_S2S_CLIENT_ID": "zoom-client-id"},
            Grade.FAILURE,
            "ZOOM_S2S_CLIENT_ID and ZOOM_CLIENT_ID are the same",
        ),
        ({**S2S, "ZOOM_API_URL": "http://zoom.example"}, Grade.FAILURE, "ZOOM_API_URL"),
        ({**S2S, "ZOOM_OAUTH_URL": "http://zoom.example"}, Grade.FAILURE, "ZOOM_OAUTH_URL"),
        (
            {"NOTIFY_URL": "http://hooks.example", "NOTIFY_SECRET": "whsec_aGVsbG8gaGVsbG8="},
            Grade.WARNING,
            "NOTIFY_URL is not https",
        ),
        (
            {"PUBLIC_URL": "https://rtms.example.com", "ADMIN_PASSWORD": "a long enough one"},
            Grade.WARNING,
            "TRUSTED_PROXIES is 0",
        ),
        ({"RECORDING_CONFIG": '{"video_mixed_mp4": {}}'}, Grade.WARNING, "all media forever"),
        (
            {"RECORDING_CONFIG": NOTHING_KEPT, "ARCHIVE_URL": "/tmp/archive"},
            Grade.WARNING,
            "nothing to archive",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_found(variables: dict[str, str], grade: Grade, words: str) -> None:
    first, *others = look(**variables)
    assert first.grade == Grade.OK
    (found,) = [each for each in others if words in each.found]
    assert found.grade == grade
    assert found.next_step
    assert found.about == "configuration"
    for value in variables.values():  # the addresses may be told, the rest may not
        assert value.startswith("http") or value not in str([first, *others])


def test_a_misspelt_variable_is_named() -> None:
    misspelt = (Misspelt("RECORD_STREAM", ".env", "RECORD_STREAMS"),)
    config = replace(Config.from_environ(SOUND), misspelt=misspelt)
    (found,) = [each for each in configuration.look(config, {}) if "RECORD_STREAM " in each.found]
    assert found.grade == Grade.WARNING
    assert "RECORD_STREAMS may be meant" in found.found
    assert found.next_step


def test_every_secret_of_the_configuration_is_known_to_be_one() -> None:
    variables = {
        **SOUND,
        "ZOOM_SECRET_TOKEN": "token-number-one,token-number-two",
        "RECALL_WEBHOOK_SECRET": "whsec_aGVsbG8gaGVsbG8=",
        "NOTIFY_URL": "https://hooks.example/token",
        "NOTIFY_SECRET": "whsec_aGVsbG8gd29ybGQ=",
        "ARCHIVE_URL": "/srv/archive-folder",
        "ADMIN_PASSWORD": "the admin password",
        "METRICS_TOKEN": "the-metrics-token",
        "ZOOM_S2S_ACCOUNT_ID": "the-account",
        "ZOOM_S2S_CLIENT_ID": "the-client",
        "ZOOM_S2S_CLIENT_SECRET": "the-secret-of-the-client",
        "TOKEN_ENCRYPTION_KEY": f"{'k' * 43}=,{'o' * 43}=",
        "DATABASE_URL": "postgres://user:database-password@127.0.0.1/name",
        "RECORDING_CONFIG": '{"realtime_endpoints": [{"url": "https://own.example/a-token"}]}',
    }
    config = Config.from_environ(variables)
    secret = [
        name
        for name, field in Config.__dataclass_fields__.items()
        if not field.repr and name not in ("recording_config", "database_url")
    ]
    known = set(secrets_of(config))
    for name in secret:
        value = getattr(config, name)
        assert known.issuperset(value if isinstance(value, tuple) else {value}), name
    assert known >= {"database-password", "https://own.example/a-token"}
