"""Checks the settings for values that are wrong, weak or contradictory. Pure."""

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
    """Yield a summary of the settings, and what is wrong or weak.

    Args:
        config: the configuration.
        proxy_problems: addresses whose proxy cannot be used (`rtms.http.proxies.problems`).
    """
    yield ok(_ABOUT, summary(config))
    for each in config.misspelt:
        yield warning(_ABOUT, f"{each}.", "Correct the name, or remove the setting.")
    yield from _placeholders(config)
    yield from _mixed_up(config)
    yield from _recall_address(config)
    yield from _zoom_s2s(config)
    yield from _dashboard_and_metrics(config)
    yield from _retention(config)
    if config.notify_url and not is_private_enough(config.notify_url):
        yield warning(
            _ABOUT,
            "NOTIFY_URL is not https, so notifications can be read on the network.",
            "Use an https address for NOTIFY_URL.",
        )
    if "NOTIFY_URL" in proxy_problems:
        yield failure(
            _ABOUT,
            f"NOTIFY_URL cannot be called: {proxy_problems['NOTIFY_URL']}.",
            "Fix that in the server's environment, and restart it.",
        )


def summary(config: Config) -> str:
    """Return in a line what is on and what is off."""
    regions = {url: name for name, url in RECALL_REGIONS.items()}
    parts = {
        "Recall": regions.get(config.recall_base_url, config.recall_base_url),
        "streams": config.record_streams,
        "web processes": f"connect streams, {config.connect_threads} at once each"
        if config.dispatcher
        else "only receive (DISPATCHER=off)",
        "dashboard": _on(config.admin_password),
        "metrics": "with the token, or from this machine"
        if config.metrics_token
        else "from this machine only",
        "archive": _on(config.archive_url),
        "notify": _on(config.notify_url),
        "Recall's webhooks": _on(config.recall_webhook_secrets),
        "deletion of old rows": f"after {config.retention_days} days"
        if config.retention_days
        else "off",
    }
    return "; ".join(f"{name}: {text}" for name, text in parts.items()) + "."


def is_loopback(url: str) -> bool:
    """Return whether a URL names this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_private_enough(url: str) -> bool:
    """Return whether what is sent to a URL cannot be read on the network."""
    return urlsplit(url).scheme == "https" or is_loopback(url)


def _on(value: object) -> str:
    return "on" if value else "off"


def _named(config: Config) -> dict[str, tuple[str | None, ...]]:
    return {
        "ZOOM_SECRET_TOKEN": config.zoom_secret_tokens,
        "ZOOM_CLIENT_ID": (config.zoom_client_id,),
        "ZOOM_CLIENT_SECRET": (config.zoom_client_secret,),
        "ZOOM_S2S_ACCOUNT_ID": (config.zoom_s2s_account_id,),
        "ZOOM_S2S_CLIENT_ID": (config.zoom_s2s_client_id,),
        "ZOOM_S2S_CLIENT_SECRET": (config.zoom_s2s_client_secret,),
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
                f"{name} looks like a placeholder.",
                f"Set {name} to the real value, or remove the line. docs/SETUP.md says where each "
                "value comes from.",
            )
        if any(value and value[0] == value[-1] and value[0] in "\"'" for value in values):
            yield warning(
                _ABOUT,
                f"{name} begins and ends with a quote, and the quotes are part of the value.",
                "Remove the quotes: `docker --env-file` and most platforms take them literally.",
            )


def _mixed_up(config: Config) -> Iterator[Finding]:
    """Check for values that were swapped: Zoom's pages show three that look alike."""
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
            f"RECALL_BASE_URL ({address}) is not https, so the API key can be read on the network.",
            "Remove RECALL_BASE_URL and set RECALL_REGION, or use an https address.",
        )
    elif address not in RECALL_REGIONS.values():
        yield warning(
            _ABOUT,
            f"RECALL_BASE_URL ({address}) is not a Recall region, but a stand-in or a proxy.",
            "If that is a mistake, remove RECALL_BASE_URL and set RECALL_REGION.",
        )


def _zoom_s2s(config: Config) -> Iterator[Finding]:
    if config.zoom_s2s_client_id is None:
        return
    if config.zoom_s2s_client_id == config.zoom_client_id:
        yield failure(
            _ABOUT,
            "ZOOM_S2S_CLIENT_ID and ZOOM_CLIENT_ID are the same, and an app that receives streams "
            "gets no token for starting them.",
            "Create a Server-to-Server OAuth app, and set ZOOM_S2S_... to its credentials "
            "(docs/RESTARTS.md).",
        )
    used = {"ZOOM_API_URL": config.zoom_api_url, "ZOOM_OAUTH_URL": config.zoom_oauth_url}
    for name, address in used.items():
        if not is_private_enough(address):
            yield failure(
                _ABOUT,
                f"{name} ({address}) is not https, so what starts streams can be read on the "
                "network.",
                f"Remove {name}, or use an https address.",
            )


def _dashboard_and_metrics(config: Config) -> Iterator[Finding]:
    password, token = config.admin_password, config.metrics_token
    if password and len(password) < LEAST_PASSWORD:
        yield warning(
            _ABOUT,
            f"ADMIN_PASSWORD has fewer than {LEAST_PASSWORD} characters.",
            "Choose a longer one: `openssl rand -base64 18` prints one of 24 characters.",
        )
    if token and len(token) < _LEAST_TOKEN:
        yield warning(
            _ABOUT,
            f"METRICS_TOKEN has fewer than {_LEAST_TOKEN} characters.",
            "Choose a longer one: `openssl rand -hex 16` prints one of 32 characters.",
        )
    tunnelled = config.public_url and not is_loopback(config.public_url)
    if password and tunnelled and not config.trusted_proxies:
        yield warning(
            _ABOUT,
            "TRUSTED_PROXIES is 0. Behind a proxy, every login seems to come from the proxy's "
            "address, so one attacker who guesses passwords locks everyone out.",
            "Set TRUSTED_PROXIES to the number of proxies in front of the server (docs/DEPLOY.md).",
        )


def _retention(config: Config) -> Iterator[Finding]:
    """Check how long Recall keeps the media (Recall: recording retention)."""
    if not says_how_long(config.recording_config):
        yield warning(
            _ABOUT,
            'RECORDING_CONFIG has no "retention". Workspaces created after 12 June 2025 then keep '
            "all media forever, and are billed for it from the eighth day on.",
            'Set "retention" in RECORDING_CONFIG; see recording_config in Recall\'s documentation.',
        )
    elif keeps_nothing(config.recording_config) and config.archive_url:
        yield warning(
            _ABOUT,
            'RECORDING_CONFIG has "retention": null, so Recall keeps no media and there is '
            "nothing to archive.",
            'Set "retention" to a time long enough to archive, or remove ARCHIVE_URL.',
        )
