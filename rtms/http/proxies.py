"""Check the environment's proxies (HTTPS_PROXY, ALL_PROXY, NO_PROXY) for those that cannot work."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from config import Config, ConfigError

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_LABEL = r"[^\s!-,./:-@\[-^`{-~]{1,63}"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_IPV6 = re.compile(r"\[[0-9a-f:.]+(%[\w.-]+)?\]")


def complaint(url: str, proxies: Mapping[str, str]) -> str | None:
    """Return why a URL's proxy cannot work and what to do; None where it has none, or it may work.
    The text contains no part of the proxy's address, which may have a password.

    Args:
        url: the request's URL.
        proxies: by scheme, as in requests.
    """
    proxy = select_proxy(url, dict(proxies))
    trouble = _trouble_with(proxy) if proxy else None
    if not proxy or not trouble:
        return None
    return f"{_variable(url, proxy)} {trouble}, unset it, or name the host in NO_PROXY"


def problems(config: Config) -> dict[str, str]:
    """Return which of `Recall`, `Zoom's API` and `NOTIFY_URL` cannot be reached because of a proxy,
    and why."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}  # without asking macOS for its proxies: forking after that may crash
    urls = {
        "Recall": config.recall_base_url,
        "Zoom's API": config.zoom_api_url if config.zoom_s2s_client_id else None,
        "NOTIFY_URL": config.notify_url,
    }
    found = {
        name: complaint(url, get_environ_proxies(url, no_proxy=None))
        for name, url in urls.items()
        if url
    }
    return {name: why for name, why in found.items() if why}


def check(config: Config) -> None:
    """Check that no configured proxy is unusable.

    Raises:
        ConfigError: one is; the message names its variable.
    """
    found = [f"{name} cannot be reached: {why}." for name, why in problems(config).items()]
    if found:
        raise ConfigError(found)


def _trouble_with(proxy: str) -> str | None:
    """Return what is wrong with a proxy's address and what to do, as the end of a sentence."""
    malformed = "is not a proxy's address such as http://proxy.example:3128: correct it"
    try:  # parse it as requests does
        parts = parse_url(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]
    except LocationValueError:
        return malformed
    scheme, host = parts.scheme or "", parts.host or ""
    if "://" not in proxy and scheme not in _SCHEMES:  # proxy:3128 is parsed as proxy://
        return malformed
    if scheme not in _SCHEMES:
        return (
            f"names a proxy of the kind {scheme[:20]}://, and only http://, https:// and "
            "socks5:// work: correct it"
        )
    is_host = (_IPV6 if host.startswith("[") else _NAME).fullmatch(host)
    if parts.port == 0 or not is_host or re.search(r"\s", proxy):
        return malformed
    if scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        return (
            "names a SOCKS proxy, and the package for it is not installed: "
            "`pip install 'requests[socks]'`"
        )
    return None


def _variable(url: str, proxy: str) -> str:
    """Return the variable that names a proxy."""
    for name in (f"{urlsplit(url).scheme}_proxy", "all_proxy"):
        for spelt in (name, name.upper()):
            if os.environ.get(spelt) == proxy:
                return spelt
    return "The proxy of the system's settings"
