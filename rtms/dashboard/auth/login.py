"""Logging in and out."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from urllib.parse import urlsplit

import structlog
from flask import abort, redirect, render_template, request, session, url_for
from sqlalchemy.engine import Connection
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response as Answer

from config import Config
from rtms import clock
from rtms.dashboard.auth import guard, sessions, throttle
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.errors import page_or_json
from rtms.dashboard.template_filters.amounts import duration
from rtms.services import get_services

_FOREIGN_FORM = (
    "The form was not sent from this server's login page. If a proxy is in front of the server, "
    "make it pass on the Host header, or set PUBLIC_URL."
)

log = structlog.get_logger()


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Answer | str:
    """Show the login form, or log in with the password of a sent one."""
    if request.method == "POST":
        return _log_in()
    if guard.recognise():
        return redirect(_next(), 303)
    return render_template("login.html", next=_next())


def _log_in() -> Answer:
    services = get_services()
    if not _is_same_site(services.config):
        abort(403, _FOREIGN_FORM)
    address = throttle.address_of(request.remote_addr)
    with services.database.read() as connection:  # a refused try costs no write
        _refuse_early_try(connection, address)
    now = clock.now()
    if not services.database.write(lambda c: throttle.count_try(c, address, now=now)):
        with services.database.read() as connection:
            _refuse_early_try(connection, address)
        raise _too_many(1)  # another try was let through at this moment
    if not _is_password(request.form.get("password", ""), services.config):
        log.warning("dashboard: a wrong password", remote=address)
        page = render_template("login.html", next=_next(), wrong=True)
        return page_or_json(page, "The password is wrong.", 403)

    def begin(connection: Connection) -> str:
        throttle.forget(connection, address)
        return sessions.begin(connection, now=now)

    sessions.set_cookie(services.database.write(begin))
    log.info("dashboard: logged in", remote=address)
    return redirect(_next(), 303)


@blueprint.post("/logout")
def logout() -> Answer:
    """End the session, in the table and in the browser."""
    token: str = session["token"]
    get_services().database.write(lambda c: sessions.end(c, token))
    session.clear()
    log.info("dashboard: logged out", remote=throttle.address_of(request.remote_addr))
    return redirect(url_for("dashboard.login"), 303)


def is_local_path(path: str, root: str = "") -> bool:
    """Return whether a browser that is redirected to a path stays on this server. Browsers take a
    backslash for a slash, and leave out tabs and line ends.

    Args:
        path: the redirect's target.
        root: the path of PUBLIC_URL. The host may have other programs beside it.
    """
    if not path.startswith(f"{root}/") or "\\" in path or path.startswith("//"):
        return False
    if not all("!" <= character <= "~" for character in path):
        return False
    try:
        parts = urlsplit(path)
    except ValueError:
        return False
    outside = {".", ".."} & set(parts.path.lower().replace("%2e", ".").split("/"))
    return not parts.scheme and not parts.netloc and not (root and outside)


def _next() -> str:
    wanted = request.values.get("next", "")
    is_ours = is_local_path(wanted, request.script_root)
    return wanted if is_ours else url_for("dashboard.overview")


def _is_same_site(config: Config) -> bool:
    """Return whether a form comes from a page of this server, by the headers that browsers set.
    Another client sets none of them, and holds no cookies that a foreign page could use."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    scheme, _, host = origin.partition("://")
    hosts = {request.host, urlsplit(config.public_url or "").netloc} - {""}
    return scheme in ("http", "https") and _plain(host) in map(_plain, hosts)


def _plain(host: str) -> str:
    """Return a host without the default port of either scheme: a proxy that ends TLS may pass on
    `:443` to a server that sees plain HTTP."""
    return re.sub(r":(80|443)$", "", host.lower())


def _is_password(given: str, config: Config) -> bool:
    digests = (_digest(given), _digest(config.admin_password or ""))
    return hmac.compare_digest(*digests)


def _digest(text: str) -> bytes:
    # A form whose bytes are not UTF-8 must compare as unequal, and not raise.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _refuse_early_try(connection: Connection, address: str) -> None:
    wait = throttle.remaining_wait(connection, address, now=clock.now())
    if wait:
        raise _too_many(math.ceil(wait.total_seconds()))


def _too_many(seconds: int) -> TooManyRequests:
    # Each wrong password is logged already. Refused tries must not fill the log.
    log.debug(
        "dashboard: a login must wait",
        remote=throttle.address_of(request.remote_addr),
        seconds=seconds,
    )
    return TooManyRequests(
        "Too many wrong passwords from your address. Open sessions are not affected. "
        f"Try again in {duration(seconds)}.",
        retry_after=seconds,
    )
