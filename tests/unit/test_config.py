"""The configuration: what each variable makes of it, and everything that is wrong said at once."""

from __future__ import annotations

import dataclasses
import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import RECALL_REGIONS, Config, ConfigError, log_format_given, variables
from sandbox.demo import own_environ

NEEDED = {
    "ZOOM_SECRET_TOKEN": "zoom-secret-token-of-the-tests",
    "ZOOM_CLIENT_ID": "zoom-client-id",
    "ZOOM_CLIENT_SECRET": "zoom-client-secret-of-the-tests",
    "RECALL_API_KEY": "recall-api-key-of-the-tests",
}


def read(**variables: str) -> Config:
    return Config.from_environ({**NEEDED, **variables})


def problems(**variables: str) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        read(**variables)
    return wrong.value.problems


def test_four_variables_are_enough() -> None:
    config = read()
    assert config.zoom_secret_tokens == ("zoom-secret-token-of-the-tests",)
    assert config.zoom_client_id == "zoom-client-id"
    assert config.zoom_client_secret == "zoom-client-secret-of-the-tests"
    assert config.recall_api_key == "recall-api-key-of-the-tests"
    assert config.recall_base_url == "https://us-east-1.recall.ai"
    assert config.recording_config == {"video_mixed_mp4": {}}
    assert config.database_url.drivername == "sqlite"
    assert (config.database_url.database or "").endswith("/instance/rtms.sqlite3")
    assert config.record_streams == "all"
    assert config.connect_window_seconds == 60
    assert config.connect_threads == 32
    assert config.dispatcher is True
    assert config.recall_timeout_seconds == 10
    assert config.signature_tolerance_seconds == 300
    assert config.max_body_bytes == 262144
    assert (config.log_format, config.log_level) == ("console", "INFO")
    assert (config.port, config.web_concurrency) == (8000, 2)
    assert config.paas is None


# A variable's name, its text, the attribute, and what is made of it.
UNDERSTOOD: list[tuple[str, str, str, Any]] = [
    ("ZOOM_SECRET_TOKEN", "new,old", "zoom_secret_tokens", ("new", "old")),
    ("ZOOM_SECRET_TOKEN", " new , old ,", "zoom_secret_tokens", ("new", "old")),
    ("ZOOM_CLIENT_SECRET", "a,b", "zoom_client_secret", "a,b"),
    ("TOKEN_ENCRYPTION_KEY", f" {'k' * 43}= , {'o' * 43}=", "token_encryption_keys",
     ("k" * 43 + "=", "o" * 43 + "=")),
    ("TOKEN_ENCRYPTION_KEY", "", "token_encryption_keys", ()),
    ("RECALL_API_KEY", " key\n", "recall_api_key", "key"),
    *(("RECALL_REGION", name, "recall_base_url", url) for name, url in RECALL_REGIONS.items()),
    ("RECALL_REGION", "EU-Central-1", "recall_base_url", "https://eu-central-1.recall.ai"),
    ("RECALL_BASE_URL", "http://127.0.0.1:1", "recall_base_url", "http://127.0.0.1:1"),
    ("RECALL_BASE_URL", "https://proxy.example/recall/", "recall_base_url",
     "https://proxy.example/recall"),
    ("RECORDING_CONFIG", '{"transcript": {}}', "recording_config", {"transcript": {}}),
    ("RECORDING_CONFIG", '{"metadata": {"team": "sales", "note": null}}', "recording_config",
     {"metadata": {"team": "sales", "note": None}}),
    ("RECORD_STREAMS", "first", "record_streams", "first"),
    ("RECORD_STREAMS", "Host", "record_streams", "host"),
    ("CONNECT_WINDOW_SECONDS", "45.5", "connect_window_seconds", 45.5),
    ("CONNECT_THREADS", "1", "connect_threads", 1),
    ("DISPATCHER", "off", "dispatcher", False),
    ("RECALL_TIMEOUT_SECONDS", "0.5", "recall_timeout_seconds", 0.5),
    ("SIGNATURE_TOLERANCE_SECONDS", "60", "signature_tolerance_seconds", 60),
    ("MAX_BODY_BYTES", "1024", "max_body_bytes", 1024),
    ("LOG_FORMAT", "JSON", "log_format", "json"),
    ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
    ("PORT", "65535", "port", 65535),
    ("WEB_CONCURRENCY", "4", "web_concurrency", 4),
    ("DYNO", "web.1", "paas", "Heroku"),
    ("RENDER", "true", "paas", "Render"),
    ("RENDER", "true", "trusted_proxies", 1),
    ("FLY_APP_NAME", "rtms", "trusted_proxies", 2),
    *((name, text, attribute, value) for name, attribute, value in [
        ("RECALL_REGION", "recall_base_url", "https://us-east-1.recall.ai"),
        ("CONNECT_THREADS", "connect_threads", 32),
        ("RECORDING_CONFIG", "recording_config", {"video_mixed_mp4": {}}),
        ("DISPATCHER", "dispatcher", True),
    ] for text in ("", "  ")),  # as PaaS forms leave them: not set
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "attribute", "value"), UNDERSTOOD)
def test_a_variable_is_understood(name: str, text: str, attribute: str, value: Any) -> None:
    assert getattr(read(**{name: text}), attribute) == value


def test_a_base_url_of_ones_own_wins_over_the_region() -> None:
    config = read(RECALL_REGION="eu-central-1", RECALL_BASE_URL="http://127.0.0.1:8001")
    assert config.recall_base_url == "http://127.0.0.1:8001"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_postgresql_means_psycopg_3(scheme: str) -> None:
    url = read(DATABASE_URL=f"{scheme}://user:p%40ss@db.example:5432/rtms?sslmode=require")
    database = url.database_url
    assert database.drivername == "postgresql+psycopg"
    assert (database.username, database.password) == ("user", "p@ss")
    assert (database.host, database.port, database.database) == ("db.example", 5432, "rtms")
    assert database.query == {"sslmode": "require"}


def test_a_file_of_ones_own_may_be_the_database() -> None:
    assert read(DATABASE_URL="sqlite:////var/lib/x.db").database_url.database == "/var/lib/x.db"


# What is wrong, and the words for it

REFUSED = [
    ("ZOOM_SECRET_TOKEN", " , ,", "only commas"),
    # A byte that is no UTF-8 comes out of the environment like this: no signature can be made.
    ("ZOOM_SECRET_TOKEN", "token\udcff", "character"),
    ("ZOOM_CLIENT_ID", "id\udcff", "character"),
    ("ZOOM_CLIENT_SECRET", "secret\udcff", "character"),
    *(("TOKEN_ENCRYPTION_KEY", text, "makes one") for text in (
        "a password", "k" * 44, "k" * 20 + "=", f"{'k' * 43}=,short", "ключ", "k" * 86 + "==",
    )),
    ("RECALL_API_KEY", "key with spaces", "that HTTP headers do not allow"),
    ("RECALL_API_KEY", "key\r\nX-Other: header", "that HTTP headers do not allow"),
    ("RECALL_API_KEY", "“key”", "that HTTP headers do not allow"),
    ("RECALL_REGION", "us-east-2", "one of us-east-1, us-west-2, eu-central-1, ap-northeast-1"),
    *(("RECALL_BASE_URL", text, "must be a URL such as https://us-east-1.recall.ai") for text in (
        "us-east-1.recall.ai", "ftp://us-east-1.recall.ai", "https://", "https://[::1", "//host",
        "https://us-east-1.recall.ai:port", "https://us-east-1.recall.ai:99999", "https:",
        "https://us east", "https://us-east-1.recall\x01.ai",
    )),
    *(("RECALL_BASE_URL", f"https://{text}", "must not contain a user") for text in (
        "user:pass@us-east-1.recall.ai", "us-east-1.recall.ai?x=1", "us-east-1.recall.ai#x",
    )),
    *(("RECORDING_CONFIG", text, "must be a JSON object") for text in (
        "video_mixed_mp4", "[]", "null", "7", "{", "{'video_mixed_mp4': {}}", "[" * 100_000,
        '{"retention": NaN}', '{"retention": Infinity}', '{"retention": 1e999}',  # no JSON
    )),
    *(("RECORDING_CONFIG", f'{{"metadata": {text}}}', "metadata") for text in (
        '"sales"', "[]", "null",
        '{"team": 7}', '{"team": {}}', f'{{"team": "{"x" * 501}"}}',  # Recall: Create, metadata
    )),
    *(("DATABASE_URL", text, "must name an SQLite file") for text in (
        "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true",
        "sqlite:///file::memory:?cache=shared&uri=true",
    )),
    *(("DATABASE_URL", text, "must begin with sqlite:///, postgres://") for text in (
        "mysql://localhost/x", "rtms.sqlite3", "postgresql+psycopg2://localhost/x", "://",
    )),
    ("DATABASE_URL", "postgres://localhost:port/x", "has a port that is not a number"),
    ("DATABASE_URL", "postgres://localhost/x?pgbouncer=true", "the option pgbouncer"),
    *(("PUBLIC_URL", f"https://apps.example/{text}", "letters, digits and - . _ ~") for text in (
        "my%20app", "a//b", "..", "a/../b", "./a", "a/.", "a;b", "a:b", "a@b", "'a'", "<a>",
    )),
    *(("HOST", text, "must be an address of this machine such as 127.0.0.1 or ::1") for text in (
        "example.com", "x86_64-conda-linux-gnu", "0.0.0.0:8000", "[::1]:8000", "*", "all",
        "127.0.0.1,::1", "127.0.0.256", "http://127.0.0.1", "fe80::1%eth0",
    )),
    ("RECORD_STREAMS", "some", "all, first, host"),
    ("DISPATCHER", "maybe", "on, off"),
    ("LOG_FORMAT", "xml", "console, json"),
    ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    *((name, text, "must be a") for name in (
        "CONNECT_WINDOW_SECONDS", "CONNECT_THREADS", "RECALL_TIMEOUT_SECONDS", "PORT",
        "SIGNATURE_TOLERANCE_SECONDS", "MAX_BODY_BYTES", "WEB_CONCURRENCY",
    ) for text in ("0", "-1", "many", "nan", "inf", "1e999", "9" * 10, "9" * 400, "9" * 5000)),
    *((name, "2000.5", "must be a whole number") for name in (
        "CONNECT_THREADS", "PORT", "SIGNATURE_TOLERANCE_SECONDS", "MAX_BODY_BYTES",
        "WEB_CONCURRENCY",
    )),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [pytest.param(*row, id=f"{row[0]}={row[1][:40]!a}-{len(row[1])}") for row in REFUSED],
)
def test_what_is_malformed_is_refused_in_words(name: str, text: str, words: str) -> None:
    (problem,) = problems(**{name: text})
    assert problem.startswith(name)
    assert words in problem
    assert problem.endswith(".")


# What is nowhere right, and settings that are only right with another.
VARIABLES = variables()
NONSENSE = ("http:/\\", "none://", "{", "=", "no, no", "\x7f")
S2S = {f"ZOOM_S2S_{name}": "x" for name in ("ACCOUNT_ID", "CLIENT_ID", "CLIENT_SECRET")}
ALSO = {
    "NOTIFY_URL": {"NOTIFY_SECRET": "whsec_aGVsbG8gd29ybGQ="},
    **{name: {also: text for also, text in S2S.items() if also != name} for name in S2S},
}


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_an_example_in_a_message_is_one_for_its_own_variable(name: str) -> None:
    also = ALSO.get(name, {})
    for text in NONSENSE:
        try:
            read(**{name: text}, **also)
        except ConfigError as wrong:
            (problem,) = wrong.problems
            assert problem.startswith(f"{name} ")
            for other in VARIABLES - {name}:
                assert not re.search(rf"\b{other}\b", problem)
            assert ("recall" in problem) <= (name == "RECALL_BASE_URL")
            for example in re.findall(r"such as (https?://\S+?)\.?(?:,|$)", problem):
                read(**{name: example}, **also)


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_what_is_needed_and_empty_is_not_set(name: str, text: str) -> None:
    assert problems(**{name: text}) == [f"{name} is not set."]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as wrong:
        Config.from_environ(
            {"RECALL_API_KEY": "a key", "PORT": "eighty", "RECORD_STREAMS": "x", "LOG_LEVEL": None}
        )
    named = [problem.split()[0] for problem in wrong.value.problems]
    assert named == [
        *("ZOOM_SECRET_TOKEN", "ZOOM_CLIENT_ID", "ZOOM_CLIENT_SECRET", "RECALL_API_KEY"),
        *("RECORD_STREAMS", "PORT"),
    ]
    for problem in wrong.value.problems:
        assert problem in str(wrong.value)
    assert ".env" in str(wrong.value)  # what to do


@given(
    st.dictionaries(
        st.sampled_from(sorted({*NEEDED, *(name for name, _, _ in REFUSED)})),
        st.text() | st.sampled_from([text for _, text, _ in REFUSED]),
    )
)
@settings(deadline=None)
def test_whatever_is_set_there_is_a_configuration_or_words(variables: dict[str, str]) -> None:
    try:
        config = read(**variables)
    except ConfigError as wrong:
        assert wrong.problems
    else:
        assert config.recall_base_url.startswith("http")


# Secrets

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "variables",
    [
        {"ZOOM_SECRET_TOKEN": f"{SECRET},old-{SECRET}"},
        {"ZOOM_CLIENT_SECRET": SECRET},
        {"RECALL_API_KEY": SECRET},
        {"DATABASE_URL": f"postgres://user:{SECRET}@db.example/rtms"},
        {"DATABASE_URL": f"postgres://db.example/rtms?user=me&password={SECRET}"},
        # Recall's way to authenticate an endpoint of one's own is a token in its URL.
        {
            "RECORDING_CONFIG": '{"realtime_endpoints": [{"type": "websocket", "url": '
            f'"wss://me.example/?token={SECRET}", "events": []}}]}}'
        },
    ],
    ids=["tokens", "client secret", "api key", "database", "database query", "endpoint"],
)
def test_no_secret_is_shown(variables: dict[str, str]) -> None:
    config = read(**variables)
    assert SECRET not in repr(config)
    assert SECRET not in str(config)


@pytest.mark.parametrize(
    "variables",
    [
        {"RECALL_API_KEY": f"{SECRET} {SECRET}"},
        {"DATABASE_URL": f"mysql://user:{SECRET}@db.example/rtms"},
        {"DATABASE_URL": f"postgres://user:{SECRET}@db.example:port/rtms"},
        {"RECALL_BASE_URL": f"https://user:{SECRET}@us-east-1.recall.ai"},
        {"RECORDING_CONFIG": f'{{"url": "wss://me.example/?token={SECRET}"'},
        {"RECALL_REGION": SECRET},  # pasted into the wrong field
        {"PORT": SECRET},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_no_secret_is_shown_in_words_about_what_is_wrong(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(**variables, ZOOM_CLIENT_SECRET="")
    assert SECRET not in f"{wrong.value} {wrong.value!r} {wrong.value.problems}"


# The rest


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("seconds", ["0.1", "10", "120"])
def test_a_lease_outlives_a_call(seconds: str) -> None:
    config = read(RECALL_TIMEOUT_SECONDS=seconds)
    # As long as it may take to connect, and as long again to answer.
    assert config.lease_seconds > 2 * config.recall_timeout_seconds


def test_the_environment_wins_over_the_file_beside_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "".join(f"{name}={value}\n" for name, value in NEEDED.items())
        + "# a comment\nPORT=8100\nWEB_CONCURRENCY=3\n"
        + """RECORDING_CONFIG='{"transcript": {}}'\n"""
    )
    for name in (*NEEDED, "WEB_CONCURRENCY", "RECORDING_CONFIG", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", "8200")
    config = Config.load(dotenv)
    assert (config.port, config.web_concurrency) == (8200, 3)
    assert config.recording_config == {"transcript": {}}
    assert config.recall_api_key == NEEDED["RECALL_API_KEY"]


def test_without_a_file_the_environment_is_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError) as wrong:
        Config.load(tmp_path / ".env")
    assert len(wrong.value.problems) == len(NEEDED)


@pytest.mark.parametrize("nothing", ["", "   ", "\t\n"])
def test_an_empty_variable_of_the_environment_does_not_hide_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing: str
) -> None:
    dotenv = tmp_path / ".env"
    others = {"RECALL_REGION": "eu-central-1", "PORT": "8100", "DATABASE_URL": "postgres://u@h/d"}
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in {**NEEDED, **others}.items()))
    for name in (*NEEDED, *others):
        monkeypatch.setenv(name, nothing)
    config = Config.load(dotenv)
    assert config.recall_base_url == "https://eu-central-1.recall.ai"
    assert config.port == 8100
    assert config.database_url.host == "h"
    assert config.zoom_client_secret == NEEDED["ZOOM_CLIENT_SECRET"]


def test_a_platform_is_not_known_by_an_empty_variable() -> None:
    assert read(DYNO=" ", RENDER="").paas is None


def test_a_dotenv_file_gives_its_values_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("w", "of the environment")
    for name in (*NEEDED, "ADMIN_PASSWORD", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    others = {
        "ZOOM_CLIENT_SECRET": "'se${cr}et'",
        "ADMIN_PASSWORD": '"pa$$ss${w:-x}word1234"',
        "DATABASE_URL": "postgresql://u:p${w}d@127.0.0.1/d",
    }
    dotenv = tmp_path / ".env"
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in {**NEEDED, **others}.items()))
    config = Config.load(dotenv)
    assert config.zoom_client_secret == "se${cr}et"
    assert config.admin_password == "pa$$ss${w:-x}word1234"
    assert config.database_url.password == "p${w}d"


def _no_file(path: Path) -> None:
    path.symlink_to(path.parent / "gone")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes("A=1\n".encode("utf-16")), "is not UTF-8 text"),
        (lambda path: path.write_text("A=1\nRECORDING_CONFIG='{}\n"), "cannot be read at line 2"),
        (Path.mkdir, "cannot be read: Is a directory"),
        (_no_file, "is a link to a file that does not exist"),
    ],
    ids=["UTF-16", "a quote", "a folder", "a link to nothing"],
)
def test_a_dotenv_file_that_cannot_be_read_is_named(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / ".env")
    with pytest.raises(ConfigError, match=words) as wrong:
        Config.load(tmp_path / ".env")
    assert str(tmp_path / ".env") in str(wrong.value)


def test_a_dotenv_file_that_must_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / ".env").touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        Config.load(tmp_path / ".env")


def test_a_dotenv_file_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=8100\n")
    for name, value in {**NEEDED, "PYTHON_DOTENV_DISABLED": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PORT", raising=False)
    assert Config.load(tmp_path / ".env").port == 8000


def test_a_misspelt_name_is_known_beside_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("RECORD_STREAM=first\nRECALL_KEY=\n")
    for name, value in {**NEEDED, "WEB_CONCURENCY": "4"}.items():
        monkeypatch.setenv(name, value)
    config = Config.load(tmp_path / ".env")
    assert [str(each) for each in config.misspelt] == [
        "RECORD_STREAM in .env is not a variable of this server; RECORD_STREAMS may be meant",
        "WEB_CONCURENCY in the environment is not a variable of this server; WEB_CONCURRENCY may "
        "be meant",
    ]


def test_a_misspelt_name_is_told_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("ZOOM_CLIENTID=the-value\n")
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ZOOM_CLIENT_ID")
    with pytest.raises(ConfigError) as wrong:
        Config.load(tmp_path / ".env")
    assert wrong.value.problems == [
        "ZOOM_CLIENT_ID is not set.",
        "ZOOM_CLIENTID in .env is not a variable of this server; ZOOM_CLIENT_ID may be meant.",
    ]


def test_the_demo_reads_no_dotenv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("RECALL_REGION=eu-central-1\n")
    monkeypatch.delenv("RECALL_REGION", raising=False)
    for name, value in own_environ().items():
        monkeypatch.setenv(name, value)
    assert Config.load(tmp_path / ".env").recall_base_url == RECALL_REGIONS["us-east-1"]


def test_a_process_keeps_to_what_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "_kept", None)
    for name, value in {**NEEDED, "PORT": "8300"}.items():
        monkeypatch.setenv(name, value)
    Config.current().keep()
    monkeypatch.setenv("PORT", "8400")
    assert (Config.current().port, Config.load().port) == (8300, 8400)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", None),
        (" 127.0.0.1 ", "127.0.0.1"),
        ("[::1]", "::1"),
        ("::", "::"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("LocalHost", "localhost"),
    ],
)
def test_the_address_to_listen_on(text: str, host: str | None) -> None:
    assert read(HOST=text).host == host


@pytest.mark.parametrize(
    ("environ", "dotenv", "given"),
    [
        ({}, "LOG_FORMAT=JSON\nPORT=many\n", "json"),
        ({"LOG_FORMAT": "console"}, "LOG_FORMAT=json\n", "console"),
        ({"LOG_FORMAT": ""}, "LOG_FORMAT=json\n", "json"),
        ({}, "LOG_FORMAT='json\n", ""),
        ({}, None, ""),
    ],
)
def test_the_format_of_the_log_is_known_where_the_rest_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environ: dict[str, str],
    dotenv: str | None,
    given: str,
) -> None:
    monkeypatch.delenv("LOG_FORMAT", raising=False)
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    if dotenv is not None:
        (tmp_path / ".env").write_text(dotenv)
    assert log_format_given(tmp_path / ".env") == given


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://rtms.example", ""),
        ("https://rtms.example/", ""),
        ("https://apps.example/rtms", "/rtms"),
        ("https://apps.example:8443/rtms/", "/rtms"),
        ("https://apps.example/zoom-webhook", ""),
        ("https://apps.example/rtms/zoom-webhook", "/rtms"),
        ("https://apps.example/a-b/c.d/~e_f/...", "/a-b/c.d/~e_f/..."),
        ("", ""),
    ],
)
def test_the_path_below_which_browsers_find_the_server(url: str, path: str) -> None:
    assert read(PUBLIC_URL=url).path == path


@pytest.mark.parametrize("name", S2S)
def test_a_part_of_the_server_to_server_app_is_refused(name: str) -> None:
    given = {each: text for each, text in S2S.items() if each != name}
    (problem,) = problems(**given)
    assert problem.startswith(f"{name} is not set: a Server-to-Server OAuth app has")
    (problem,) = problems(**{name: "x"})
    assert " and ".join(given) in problem


def test_streams_are_restarted_where_they_can_be_started() -> None:
    assert not read().restart_streams
    assert read(**S2S).restart_streams
    assert not read(**S2S, RESTART_STREAMS="off").restart_streams


@pytest.mark.parametrize(
    ("name", "text"), [("RESTART_STREAMS", "on"), ("START_STREAMS", "missing")]
)
def test_starting_streams_needs_the_server_to_server_app(name: str, text: str) -> None:
    (problem,) = problems(**{name: text})
    assert problem.startswith(f"{name} is {text}")
    assert "ZOOM_S2S_ACCOUNT_ID, ZOOM_S2S_CLIENT_ID, ZOOM_S2S_CLIENT_SECRET" in problem


def test_streams_may_be_started_for_some_only() -> None:
    assert read(**S2S).start_for == ()
    assert read(START_FOR="host-1, account-2").start_for == ("host-1", "account-2")


def test_the_secret_of_the_server_to_server_app_is_not_shown() -> None:
    assert "sesame" not in repr(read(**S2S | {"ZOOM_S2S_CLIENT_SECRET": "sesame"}))
