"""What is set, and what about it cannot be meant. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from config import RECALL_REGIONS, Config
from rtms.doctor.finding import Finding, failure, ok, warning
from rtms.recall.recording_config import keeps_nothing, says_how_long

LEAST_PASSWORD = 12  # characters
_LEAST_TOKEN = 16  # characters
_ABOUT = "configuration"
_PLACEHOLDER = re.compile(
    r"replace-with-|example-name\.|change-?me|^your[-_ ]|^<.*>$|^x{3,}$|^\.{3}$", re.IGNORECASE
)


def look(config: Config, proxy_problems: Mapping[str, str]) -> Iterator[Finding]:
    """What is on and off, and what about the values is wrong or weak.

    Args:
        config: the configuration.
        proxy_problems: what cannot be reached because of its proxy
            (`rtms.recall.proxies.problems`).
    """
    yield ok(_ABOUT, summary(config))
    for each in config.misspelt:
        yield warning(_ABOUT, f"{each}.", "Correct its name, or take it out.")
    yield from _placeholders(config)
    yield from _mixed_up(config)
    yield from _recall_address(config)
    yield from _watching(config)
    yield from _retention(config)
    if config.notify_url and not is_private_enough(config.notify_url):
        yield warning(
            _ABOUT,
            "NOTIFY_URL is not https: what is told to your own code can be read on the way.",
            "Give NOTIFY_URL an https address.",
        )
    if "NOTIFY_URL" in proxy_problems:
        yield failure(
            _ABOUT,
            f"NOTIFY_URL cannot be called: {proxy_problems['NOTIFY_URL']}.",
            "Mend that where the server is started, and restart it.",
        )


def summary(config: Config) -> str:
    """Return what is on and what is off, in a line."""
    regions = {url: name for name, url in RECALL_REGIONS.items()}
    parts = {
        "Recall": regions.get(config.recall_base_url, config.recall_base_url),
        "streams": config.record_streams,
        "web processes": f"connect streams, {config.connect_threads} at once each"
        if config.dispatcher
        else "only receive (DISPATCHER=off)",
        "dashboard": _on(config.admin_password),
        "metrics": "with a token, or from this machine"
        if config.metrics_token
        else "from this machine only",
        "archive": _on(config.archive_url),
        "notify": _on(config.notify_url),
        "Recall's webhooks": _on(config.recall_webhook_secrets),
        "deleting what is old": f"after {config.retention_days} days"
        if config.retention_days
        else "off",
    }
    return "; ".join(f"{name}: {text}" for name, text in parts.items()) + "."


def is_loopback(url: str) -> bool:
    """Whether an address never leaves this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_private_enough(url: str) -> bool:
    """Whether nobody between can read what is sent there."""
    return urlsplit(url).scheme == "https" or is_loopback(url)


def _on(value: object) -> str:
    return "on" if value else "off"


def _named(config: Config) -> dict[str, tuple[str | None, ...]]:
    return {
        "ZOOM_SECRET_TOKEN": config.zoom_secret_tokens,
        "ZOOM_CLIENT_ID": (config.zoom_client_id,),
        "ZOOM_CLIENT_SECRET": (config.zoom_client_secret,),
        "RECALL_API_KEY": (config.recall_api_key,),
        "ADMIN_PASSWORD": (config.admin_password,),
        "METRICS_TOKEN": (config.metrics_token,),
        "PUBLIC_URL": (config.public_url and urlsplit(config.public_url).netloc,),
        "NOTIFY_URL": (config.notify_url,),
    }


def _placeholders(config: Config) -> Iterator[Finding]:
    for name, values in _named(config).items():
        if any(value and _PLACEHOLDER.search(value) for value in values):
            yield failure(
                _ABOUT,
                f"{name} looks like a placeholder that was never replaced.",
                f"Put the real value into {name}, or remove the line. docs/SETUP.md says where "
                "each value comes from.",
            )
        if any(value and value[0] == value[-1] and value[0] in "\"'" for value in values):
            yield warning(
                _ABOUT,
                f"{name} begins and ends with a quote, which is taken as a part of it.",
                "`docker --env-file` and most platforms take quotes literally: remove them.",
            )


def _mixed_up(config: Config) -> Iterator[Finding]:
    """Zoom's pages show three values that look alike."""
    values = [config.zoom_client_id, config.zoom_client_secret, *config.zoom_secret_tokens]
    if len(set(values)) < len(values):
        yield failure(
            _ABOUT,
            "Two of ZOOM_CLIENT_ID, ZOOM_CLIENT_SECRET and ZOOM_SECRET_TOKEN are the same.",
            "Copy them again: the Client ID and Secret are under Basic Information, the Secret "
            "Token under Features, Access.",
        )


def _recall_address(config: Config) -> Iterator[Finding]:
    address = config.recall_base_url
    if not is_private_enough(address):
        yield failure(
            _ABOUT,
            f"RECALL_BASE_URL ({address}) is not https: the API key can be read on the way.",
            "Take RECALL_BASE_URL out and set RECALL_REGION, or give it an https address.",
        )
    elif address not in RECALL_REGIONS.values():
        yield warning(
            _ABOUT,
            f"RECALL_BASE_URL ({address}) is none of Recall's regions: a stand-in or a proxy.",
            "Where that is not meant, take RECALL_BASE_URL out and set RECALL_REGION.",
        )


def _watching(config: Config) -> Iterator[Finding]:
    password, token = config.admin_password, config.metrics_token
    if password and len(password) < LEAST_PASSWORD:
        yield warning(
            _ABOUT,
            f"ADMIN_PASSWORD has fewer than {LEAST_PASSWORD} characters.",
            "Take a longer one: `openssl rand -base64 18` makes one of 24 characters.",
        )
    if token and len(token) < _LEAST_TOKEN:
        yield warning(
            _ABOUT,
            f"METRICS_TOKEN has fewer than {_LEAST_TOKEN} characters.",
            "Take a longer one: `openssl rand -hex 16` makes one of 32 characters.",
        )
    tunnelled = config.public_url and not is_loopback(config.public_url)
    if password and tunnelled and not config.trusted_proxies:
        yield warning(
            _ABOUT,
            "TRUSTED_PROXIES is 0. If a proxy stands in front of the server, everybody who logs in "
            "seems to come from it, and one who guesses passwords locks all out.",
            "Set TRUSTED_PROXIES to the number of proxies in front (docs/DEPLOY.md).",
        )


def _retention(config: Config) -> Iterator[Finding]:
    """How long Recall keeps the media (Recall: recording retention)."""
    if not says_how_long(config.recording_config):
        yield warning(
            _ABOUT,
            'RECORDING_CONFIG has no "retention". Workspaces made after 12 June 2025 then keep all '
            "media for ever, and bill that from the eighth day on.",
            'Let RECORDING_CONFIG say how long they are kept: "retention" in what Recall says on '
            "recording_config.",
        )
    elif keeps_nothing(config.recording_config) and config.archive_url:
        yield warning(
            _ABOUT,
            'RECORDING_CONFIG has "retention": null: Recall keeps nothing, so ARCHIVE_URL has '
            "nothing to store.",
            'Give "retention" a time in which a recording can be stored, or take ARCHIVE_URL out.',
        )
