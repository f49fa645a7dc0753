"""Proxies that the environment names (HTTPS_PROXY, ALL_PROXY, NO_PROXY), and those among them that
can never work."""

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
    """Return why a request cannot be made through the proxy that is meant for it, and what to do.
    It holds no part of the proxy's address, which may have a password. None: there is no such
    proxy, or it may work.

    Args:
        url: where the request is to go.
        proxies: by scheme, as requests has them.
    """
    proxy = select_proxy(url, dict(proxies))
    trouble = _trouble_with(proxy) if proxy else None
    if not proxy or not trouble:
        return None
    return f"{_variable(url, proxy)} {trouble}, unset it, or name the host in NO_PROXY"


def problems(config: Config) -> dict[str, str]:
    """Return what cannot be reached because of its proxy, and why: `Recall`, `NOTIFY_URL`."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}  # nor is macOS asked: whoever forks after that is in danger
    urls = {"Recall": config.recall_base_url, "NOTIFY_URL": config.notify_url}
    found = {
        name: complaint(url, get_environ_proxies(url, no_proxy=None))
        for name, url in urls.items()
        if url
    }
    return {name: why for name, why in found.items() if why}


def check(config: Config) -> None:
    """Refuse to work with proxies through which nothing can be reached.

    Raises:
        ConfigError: there are such; it names the variables.
    """
    found = [f"{name} cannot be reached: {why}." for name, why in problems(config).items()]
    if found:
        raise ConfigError(found)


def _trouble_with(proxy: str) -> str | None:
    """What is wrong with a proxy's address, and what is to be done, as the end of a sentence."""
    malformed = "is not a proxy's address such as http://proxy.example:3128: correct it"
    try:  # as requests does
        parts = parse_url(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]
    except LocationValueError:
        return malformed
    scheme, host = parts.scheme or "", parts.host or ""
    if "://" not in proxy and scheme not in _SCHEMES:  # proxy:3128, of which it makes proxy://
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
    """Which variable names a proxy."""
    for name in (f"{urlsplit(url).scheme}_proxy", "all_proxy"):
        for spelt in (name, name.upper()):
            if os.environ.get(spelt) == proxy:
                return spelt
    return "The proxy of the system's settings"
