"""The addresses that the web processes listen on (HOST), and how a person reaches them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from config import Config

_EVERY_IPV4, _EVERY_IPV6 = "0.0.0.0", "::"  # noqa: S104 - what is meant where HOST is not set


def versions_at(address: str) -> frozenset[int]:
    """Return the versions of IP (4, 6) that a socket at an IPv6 address takes calls over; none
    where this machine does not have the address."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as tried:
            tried.bind((address, 0))
            alone = tried.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return frozenset()
    return frozenset({6} if alone else {4, 6})


def binds(
    host: str | None, port: int, at: Callable[[str], frozenset[int]] = versions_at
) -> list[str]:
    """Return what gunicorn is to bind.

    Args:
        host: an address, or `localhost` for both loopback addresses; None: every address.
        port: of all of them.
        at: what a socket at an IPv6 address takes in.
    """
    if host == "localhost":
        hosts = ["127.0.0.1", *(["::1"] if at("::1") else [])]
    elif host is not None:
        hosts = [host]
    else:
        taken = at(_EVERY_IPV6)
        hosts = [*([_EVERY_IPV6] if taken else []), *([] if 4 in taken else [_EVERY_IPV4])]
    return [f"{_in_url(each)}:{port}" for each in hosts]


def local_url(addresses: Sequence[object]) -> str | None:
    """Return a URL at which a person on this machine reaches the server; None where it has only
    sockets that no browser knows.

    Args:
        addresses: what the listening sockets say of themselves (`getsockname`).
    """
    named = [(str(each[0]), int(each[1])) for each in addresses if isinstance(each, tuple)]
    for host, port in named:
        if host in (_EVERY_IPV4, _EVERY_IPV6):
            return f"http://localhost:{port}"
    for host, port in sorted(named, key=lambda each: not ipaddress.ip_address(each[0]).is_loopback):
        return f"http://{_in_url(host)}:{port}"
    return None


def how_to_reach(config: Config, local: str | None) -> list[str]:
    """Return the lines that say where the dashboard is, and where Zoom delivers.

    Args:
        config: the configuration.
        local: the server's URL on this machine (`local_url`).
    """
    url = config.public_url or local
    if url is None:
        return []
    here = f" (on this machine: {local}{config.path}/)" if local and local != url else ""
    dashboard = (
        f"Dashboard: {url}/{here}. Log in with the ADMIN_PASSWORD"
        if config.admin_password
        else "There is no dashboard: ADMIN_PASSWORD is not set"
    )
    webhook = (
        f"Zoom's endpoint: {url}/zoom-webhook"
        if config.public_url
        else f"Zoom needs an https address: put a tunnel or a proxy in front of {url}, and set "
        "PUBLIC_URL"
    )
    return [dashboard, webhook]


def with_mapped(allowed: str) -> str:
    """Return a list of addresses and networks, separated by commas, in which each of IPv4 also
    stands as a socket for IPv4 and IPv6 shows it (`::ffff:192.0.2.1`)."""
    named = [each.strip() for each in allowed.split(",") if each.strip()]
    mapped = []
    for each in named:
        try:
            network = ipaddress.IPv4Network(each)
        except ValueError:  # of IPv6, or `*`
            continue
        mapped.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return ",".join([*named, *mapped])


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
