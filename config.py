"""The configuration: read once from the environment, checked as a whole, then frozen."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import SplitResult, urlsplit

from sqlalchemy.engine import URL

from rtms.configuration import database_url, env_file
from rtms.configuration.spelling import Misspelt, misspelt

ROOT = Path(__file__).resolve().parent
_YES = ("1", "true", "t", "yes", "y")

# Recall: regions. A key, an id and a recording belong to one region.
RECALL_REGIONS = {
    "us-east-1": "https://us-east-1.recall.ai",
    "us-west-2": "https://us-west-2.recall.ai",
    "eu-central-1": "https://eu-central-1.recall.ai",
    "ap-northeast-1": "https://ap-northeast-1.recall.ai",
}
RECORD_STREAMS = ("all", "first", "host")
START_STREAMS = ("off", "missing", "always")
LOG_FORMATS = ("console", "json")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# The package with the driver for each kind of ARCHIVE_URL.
_ARCHIVE_DRIVERS = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}

# A variable that each PaaS sets. Their disks are wiped at each deploy.
_PAAS_MARKERS = {
    "DYNO": "Heroku",
    "RENDER": "Render",
    "FLY_APP_NAME": "Fly.io",
    "RAILWAY_ENVIRONMENT": "Railway",
    "K_SERVICE": "Cloud Run",
}

# How many addresses each appends to X-Forwarded-For. Fly.io also appends its own.
_PAAS_PROXIES: dict[str | None, int] = {
    **dict.fromkeys(_PAAS_MARKERS.values(), 1),
    "Fly.io": 2,
}

# Zoom: REST API. A Server-to-Server OAuth app's credentials, which are set together.
_ZOOM_S2S = ("ZOOM_S2S_ACCOUNT_ID", "ZOOM_S2S_CLIENT_ID", "ZOOM_S2S_CLIENT_SECRET")
_ZOOM_API_URL = "https://api.zoom.us/v2"
_ZOOM_OAUTH_URL = "https://zoom.us/oauth"

T = TypeVar("T")


class ConfigError(Exception):
    """The environment is not a valid configuration. The message lists every problem, and never a
    value that could be a secret."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(
            f"The configuration is incomplete or invalid:\n{lines}\n"
            "Correct this in the environment or in .env (`make .env` creates it), then start again."
        )


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings. Secrets are not in the `repr`."""

    zoom_secret_tokens: tuple[str, ...] = field(repr=False)  # the first is the current one
    zoom_client_id: str
    zoom_client_secret: str = field(repr=False)
    # The Server-to-Server OAuth app that starts streams: all three are set, or none.
    zoom_s2s_account_id: str | None
    zoom_s2s_client_id: str | None
    zoom_s2s_client_secret: str | None = field(repr=False)
    zoom_api_url: str  # without a trailing slash
    zoom_oauth_url: str  # without a trailing slash
    # Fernet keys; the first encrypts the tokens of Zoom users. Empty: no tokens are kept.
    token_encryption_keys: tuple[str, ...] = field(repr=False)
    restart_streams: bool  # ask Zoom again for a stream that was lost while its meeting is on
    restarts_per_meeting: int  # of one user in one meeting
    start_streams: str  # one of START_STREAMS: whether meetings without a stream get one
    start_after_seconds: float  # how long `missing` waits for auto-start
    start_for: tuple[str, ...]  # ids of hosts and accounts; empty: everybody
    recall_api_key: str = field(repr=False)
    recall_webhook_secrets: tuple[str, ...] = field(repr=False)  # empty: no route for Recall
    recall_base_url: str  # without a trailing slash
    # Sent to Recall as `recording_config`. The URLs of its endpoints may contain tokens.
    recording_config: Mapping[str, Any] = field(repr=False)
    database_url: URL = field(repr=False)
    record_streams: str  # one of RECORD_STREAMS
    connect_window_seconds: float  # from Zoom's event to the last try
    recall_retrieves_per_minute: int  # of all processes together
    connect_threads: int  # concurrent connects per process
    dispatcher: bool  # False: web processes only receive
    recall_timeout_seconds: float  # to connect, and again for each read
    signature_tolerance_seconds: int  # allowed clock difference of a delivery, in both directions
    max_body_bytes: int
    extensions: tuple[str, ...]  # modules with the user's own subscribers
    notify_url: str | None = field(repr=False)  # may contain a token
    notify_secret: str | None = field(repr=False)
    archive_url: str | None = field(repr=False)  # may contain credentials
    admin_password: str | None = field(repr=False)  # None: no dashboard
    metrics_token: str | None = field(repr=False)  # None: /metrics answers this machine only
    public_url: str | None  # where Zoom reaches the server, without a trailing slash
    trusted_proxies: int  # how many proxies in front of the server set X-Forwarded-For
    retention_days: int | None  # None: nothing is deleted
    log_format: str
    log_level: str
    host: str | None  # the address that the web processes listen on; None: all
    port: int
    web_concurrency: int  # web processes
    paas: str | None  # the platform, if it is one whose disks are wiped at each deploy
    misspelt: tuple[Misspelt, ...] = ()  # unknown variables, probably misspelt ones

    _kept: ClassVar[Config | None] = None

    @property
    def path(self) -> str:
        """The path of PUBLIC_URL, such as `/rtms`; empty at the root."""
        return urlsplit(self.public_url or "").path

    @property
    def lease_seconds(self) -> float:
        """How long a lease lasts: longer than a call to Recall can take
        (`rtms.recall.client.Recall`)."""
        return 3 * self.recall_timeout_seconds + 5

    @classmethod
    def load(cls, dotenv: Path = ROOT / ".env") -> Config:
        """Read the process environment, and `.env` for variables that are not in it.

        Raises:
            ConfigError: something is missing or invalid.
        """
        given = {name: text for name, text in os.environ.items() if text.strip()}
        file = {name: text for name, text in _read_dotenv(dotenv).items() if text.strip()}
        doubtful = misspelt(variables(), dotenv=file, environ=given)
        try:
            return replace(cls.from_environ({**file, **given}), misspelt=doubtful)
        except ConfigError as error:
            raise ConfigError([*error.problems, *(f"{each}." for each in doubtful)]) from None

    @classmethod
    def current(cls) -> Config:
        """Return the kept configuration of this process (see `keep`), or else `load` it.

        Raises:
            ConfigError: something is missing or invalid.
        """
        return cls._kept or cls.load()

    def keep(self) -> None:
        """Make this the configuration of this process and its forks, even if `.env` changes."""
        Config._kept = self

    @classmethod
    def from_environ(cls, environ: Mapping[str, str | None]) -> Config:
        """Create a configuration from variables.

        Raises:
            ConfigError: something is missing or invalid.
        """
        read = _Reader(environ)
        config = cls._read(read)
        if read.problems:
            raise ConfigError(read.problems)
        return config

    @classmethod
    def _read(cls, read: _Reader) -> Config:
        paas = next((name for mark, name in _PAAS_MARKERS.items() if read.given(mark)), None)
        region = read.choice("RECALL_REGION", "us-east-1", tuple(RECALL_REGIONS))
        config = cls(
            zoom_secret_tokens=read.required("ZOOM_SECRET_TOKEN", _tokens) or (),
            zoom_client_id=read.required("ZOOM_CLIENT_ID", _text) or "",
            zoom_client_secret=read.required("ZOOM_CLIENT_SECRET", _text) or "",
            zoom_s2s_account_id=read.optional("ZOOM_S2S_ACCOUNT_ID", None, _text),
            zoom_s2s_client_id=read.optional("ZOOM_S2S_CLIENT_ID", None, _text),
            zoom_s2s_client_secret=read.optional("ZOOM_S2S_CLIENT_SECRET", None, _text),
            zoom_api_url=read.optional("ZOOM_API_URL", _ZOOM_API_URL, _zoom_api_url),
            zoom_oauth_url=read.optional("ZOOM_OAUTH_URL", _ZOOM_OAUTH_URL, _zoom_oauth_url),
            token_encryption_keys=read.optional("TOKEN_ENCRYPTION_KEY", (), _fernet_keys),
            restart_streams=_restart_streams(read),
            restarts_per_meeting=int(read.number("RESTARTS_PER_MEETING", 5, 1, 1000, whole=True)),
            start_streams=_start_streams(read),
            start_after_seconds=read.number("START_AFTER_SECONDS", 20.0, 0, 3600),
            start_for=read.optional("START_FOR", (), _ids),
            recall_api_key=read.required("RECALL_API_KEY", _api_key) or "",
            recall_webhook_secrets=read.optional("RECALL_WEBHOOK_SECRET", (), _webhook_secrets),
            recall_base_url=read.optional("RECALL_BASE_URL", RECALL_REGIONS[region], _base_url),
            recording_config=read.optional(
                "RECORDING_CONFIG", {"video_mixed_mp4": {}}, _json_object
            ),
            database_url=read.optional("DATABASE_URL", _default_database(), _database_url),
            record_streams=read.choice("RECORD_STREAMS", "all", RECORD_STREAMS),
            connect_window_seconds=read.number("CONNECT_WINDOW_SECONDS", 60.0, 1, 3600),
            connect_threads=int(read.number("CONNECT_THREADS", 32, 1, 512, whole=True)),
            recall_retrieves_per_minute=int(
                read.number("RECALL_RETRIEVES_PER_MINUTE", 240, 5, 100_000, whole=True)
            ),
            dispatcher=read.choice("DISPATCHER", "on", ("on", "off")) == "on",
            recall_timeout_seconds=read.number("RECALL_TIMEOUT_SECONDS", 10.0, 0.1, 120),
            signature_tolerance_seconds=int(
                read.number("SIGNATURE_TOLERANCE_SECONDS", 300, 1, 86400, whole=True)
            ),
            max_body_bytes=int(
                read.number("MAX_BODY_BYTES", 262144, 1024, 16 * 1024**2, whole=True)
            ),
            extensions=read.optional("EXTENSIONS", (), _modules),
            notify_url=read.optional("NOTIFY_URL", None, _notify_url),
            notify_secret=read.optional("NOTIFY_SECRET", None, _webhook_secret),
            archive_url=read.optional("ARCHIVE_URL", None, _archive_url),
            admin_password=read.optional("ADMIN_PASSWORD", None, _text),
            metrics_token=read.optional("METRICS_TOKEN", None, _api_key),
            public_url=read.optional("PUBLIC_URL", None, _public_url),
            trusted_proxies=int(
                read.number("TRUSTED_PROXIES", _PAAS_PROXIES.get(paas, 0), 0, 10, whole=True)
            ),
            retention_days=int(read.number("RETENTION_DAYS", 0, 1, 36500, whole=True)) or None,
            log_format=read.choice("LOG_FORMAT", "console", LOG_FORMATS),
            log_level=read.choice("LOG_LEVEL", "INFO", LOG_LEVELS, fold=str.upper),
            host=read.optional("HOST", None, _host),
            port=int(read.number("PORT", 8000, 1, 65535, whole=True)),
            web_concurrency=int(read.number("WEB_CONCURRENCY", 2, 1, 256, whole=True)),
            paas=paas,
        )
        _check_s2s(read)
        if config.notify_url and not config.notify_secret:
            read.problems.append("NOTIFY_SECRET is not set: requests to NOTIFY_URL must be signed.")
        return config


def variables() -> frozenset[str]:
    """Return the names of all variables of the configuration."""
    read = _Reader({})
    Config._read(read)
    return frozenset(read.names)


def log_format_given(dotenv: Path = ROOT / ".env") -> str:
    """Return LOG_FORMAT even if other settings are invalid; empty if it is not set."""
    given = os.environ.get("LOG_FORMAT", "").strip()
    if not given:
        try:
            given = _read_dotenv(dotenv).get("LOG_FORMAT", "")
        except ConfigError:
            given = ""
    return given.strip().lower()


def _read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file; none if there is no file, or it is disabled."""
    # python-dotenv: PYTHON_DOTENV_DISABLED
    if os.environ.get("PYTHON_DOTENV_DISABLED", "").casefold() in _YES:
        return {}
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if not path.is_symlink():
            return {}
        raise ConfigError([f"{path} is a link to a file that does not exist."]) from None
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}."]) from None
    found = env_file.parse(content)
    if found.problems:
        raise ConfigError([f"{path} {problem}." for problem in found.problems])
    return found.variables


class _Reader:
    """Reads variables and collects their problems, so that all are reported at once. An empty
    variable counts as not set, because the forms of PaaS leave such."""

    def __init__(self, environ: Mapping[str, str | None]) -> None:
        self._environ = environ
        self.names: set[str] = set()  # of the variables that were read
        self.problems: list[str] = []

    def required(self, name: str, parse: Callable[[str], T]) -> T | None:
        text = self._own(name)
        if not text:
            self.problems.append(f"{name} is not set.")
            return None
        if text.startswith("replace-with-"):
            self.problems.append(f"{name} still has the placeholder of .env.example.")
            return None
        return self._parse(name, text, parse)

    def optional(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        text = self._own(name)
        value = self._parse(name, text, parse) if text else None
        return default if value is None else value

    def choice(
        self,
        name: str,
        default: str,
        choices: tuple[str, ...],
        fold: Callable[[str], str] = str.lower,
    ) -> str:
        value = fold(self._own(name)) or default
        if value in choices:
            return value
        self.problems.append(f"{name} must be one of {', '.join(choices)}.")
        return default

    def number(
        self, name: str, default: float, low: float, high: float, *, whole: bool = False
    ) -> float:
        text = self._own(name)
        if not text:
            return default
        kind = "a whole number" if whole else "a number"
        try:
            value = float(int(text) if whole else float(text))
        except (ValueError, OverflowError):
            value = float("nan")
        if low <= value <= high:
            return value
        self.problems.append(f"{name} must be {kind} from {low:g} to {high:g}.")
        return default

    def given(self, name: str) -> str:
        """Return a variable without surrounding spaces; empty if it is not set."""
        return (self._environ.get(name) or "").strip()

    def _own(self, name: str) -> str:
        self.names.add(name)
        return self.given(name)

    def _parse(self, name: str, text: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name} {error}.")
            return None


def _text(text: str) -> str:
    if not text.isprintable():  # a byte that is not UTF-8 becomes a lone surrogate
        raise ValueError("contains a character that cannot be printed; paste it again")
    return text


def _tokens(text: str) -> tuple[str, ...]:
    tokens = tuple(token for token in (part.strip() for part in _text(text).split(",")) if token)
    if not tokens:
        raise ValueError("contains only commas")
    return tokens


def _ids(text: str) -> tuple[str, ...]:
    ids = _tokens(text)
    if any(re.search(r"\s", id) for id in ids):
        raise ValueError("must be ids of Zoom hosts or accounts, separated by commas")
    return ids


def _modules(text: str) -> tuple[str, ...]:
    names = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    if not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError("must be names of Python modules, separated by commas")
    return names


def _notify_url(text: str) -> str | None:
    _http_url(text, "https://example.com/hook")
    return text


def _archive_url(text: str) -> str | None:
    scheme, found, place = _text(text).partition("://")
    if not found:
        # Unlike Path.expanduser, this leaves an unknown user's name as it is.
        return str(ROOT / os.path.expanduser(text))  # noqa: PTH111
    # Imported here because most configurations have no ARCHIVE_URL.
    from fsspec.registry import known_implementations, registry

    if not place or scheme not in {*known_implementations, *registry}:
        raise ValueError(
            "must be a folder, or a URL such as s3://bucket/folder, gs://bucket/folder or "
            "az://container/folder"
        )
    # Found, not imported: gunicorn's master must not hold on to what its workers replace.
    if scheme not in registry:
        module = known_implementations[scheme]["class"].partition(".")[0]
        if importlib.util.find_spec(module) is None:
            package = _ARCHIVE_DRIVERS.get(scheme, "<fsspec's driver for it>")
            raise ValueError(f"needs a driver that is not installed here: `pip install {package}`")
    return text


def _webhook_secret(text: str) -> str | None:
    # Imported here because many configurations have no such secret.
    from standardwebhooks import Webhook
    from standardwebhooks.webhooks import EmptyWebhookSecretError

    try:
        Webhook(_text(text))
    except (ValueError, EmptyWebhookSecretError):
        raise ValueError("must be whsec_ followed by base64") from None
    return text


def _webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = _tokens(text)
    for secret in secrets:
        _webhook_secret(secret)
    return secrets


def _fernet_keys(text: str) -> tuple[str, ...]:
    # Imported here because many configurations have no such key.
    from cryptography.fernet import Fernet

    keys = _tokens(text)
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        raise ValueError(
            "must be Fernet keys, separated by commas; `python3 -c 'import base64, os; "
            "print(base64.urlsafe_b64encode(os.urandom(32)).decode())'` makes one"
        ) from None
    return keys


def _api_key(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("contains a character that HTTP headers do not allow; paste it again")
    return text


def _http_url(text: str, example: str) -> SplitResult:
    try:
        if not re.fullmatch(r"[\x21-\x7e]+", text) or "\\" in text:
            raise ValueError(text)
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(text)
    except ValueError:  # also if the port is not a number
        raise ValueError(f"must be a URL such as {example}") from None
    return parts


def _base_url(text: str, example: str = "https://us-east-1.recall.ai") -> str:
    parts = _http_url(text, example)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not contain a user, password, query or fragment")
    return text.rstrip("/")


def _zoom_api_url(text: str) -> str:
    return _base_url(text, _ZOOM_API_URL)


def _zoom_oauth_url(text: str) -> str:
    return _base_url(text, _ZOOM_OAUTH_URL)


def _restart_streams(read: _Reader) -> bool:
    """Read RESTART_STREAMS. It is on by default if streams can be started."""
    has_credentials = all(read.given(name) for name in _ZOOM_S2S)
    default = "on" if has_credentials else "off"
    wanted = read.choice("RESTART_STREAMS", default, ("on", "off")) == "on"
    if wanted:
        _needs_s2s(read, "RESTART_STREAMS is on")
    return wanted and has_credentials


def _start_streams(read: _Reader) -> str:
    wanted = read.choice("START_STREAMS", "off", START_STREAMS)
    if wanted != "off":
        _needs_s2s(read, f"START_STREAMS is {wanted}")
    return wanted


def _needs_s2s(read: _Reader, what: str) -> None:
    """Check that the credentials are set. `_check_s2s` reports a part of them."""
    if not any(read.given(name) for name in _ZOOM_S2S):
        read.problems.append(
            f"{what}, and starting a stream needs the credentials of a Server-to-Server OAuth app: "
            f"set {', '.join(_ZOOM_S2S)}."
        )


def _check_s2s(read: _Reader) -> None:
    """Check that the credentials of the Server-to-Server OAuth app are all set, or none is."""
    missing = [name for name in _ZOOM_S2S if not read.given(name)]
    if 0 < len(missing) < len(_ZOOM_S2S):
        read.problems.append(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: a "
            "Server-to-Server OAuth app has an account ID, a client ID and a client secret."
        )


def _public_url(text: str) -> str | None:
    url = _base_url(text, "https://rtms.example.com").removesuffix("/zoom-webhook").rstrip("/")
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", urlsplit(url).path):
        raise ValueError("may have only letters, digits and - . _ ~ in its path, such as /rtms")
    return url


def _host(text: str) -> str:
    """Read `localhost` or an IP address."""
    if text.lower() == "localhost":
        return "localhost"
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
        if "%" in text:  # gunicorn cannot bind an address with a zone
            raise ValueError(text)
    except ValueError:
        raise ValueError(
            "must be an address of this machine such as 127.0.0.1 or ::1, or localhost (if your "
            "shell sets it to a name, unset it)"
        ) from None
    return str(address)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object such as {"video_mixed_mp4": {}}')
    metadata = value.get("metadata", {})
    # Recall: values of metadata are null or strings of at most 500 characters.
    if not isinstance(metadata, dict) or not all(
        one is None or (isinstance(one, str) and len(one) <= 500) for one in metadata.values()
    ):
        raise ValueError(
            "must have as `metadata`, if present, an object of strings of at most 500 characters"
        )
    return value


def _default_database() -> URL:
    # In Flask's app.instance_path for an app in this folder.
    return URL.create("sqlite", database=str(ROOT / "instance" / "rtms.sqlite3"))


def _database_url(text: str) -> URL:
    return database_url.parse(text, ROOT)
