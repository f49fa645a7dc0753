"""Serves media behind pre-signed links as S3 does, which is where Recall's links lead."""

from sandbox.connections import Connection
from sandbox.media import Links, Medium
from sandbox.wire import Answer, Request


def serve(
    request: Request,
    links: Links,
    connection: Connection | None,
    medium_id: str,
    name: str,
    video_bytes: int | None,
) -> tuple[Answer, str]:
    """Return the answer to a request for a medium, and the ledger's word for it."""
    if request.method not in ("GET", "HEAD"):
        return _error(405, "MethodNotAllowed", "The method is not allowed."), "refused"
    if why := links.refuse(medium_id, name, request.query):
        return _error(403, "AccessDenied", why), "refused"
    if "Authorization" in request.headers:  # the link is the authorization
        return _error(400, "InvalidArgument", "Only one auth mechanism allowed."), "refused"
    medium = Medium.of(name, video_bytes)
    if medium is None or connection is None or connection.ending != "done":
        return _error(404, "NoSuchKey", "The specified key does not exist."), "not_found"
    wanted = request.headers.get("Range")
    if request.headers.get("If-Range", medium.etag) != medium.etag:
        wanted = None  # the medium has changed, so all of it is sent (RFC 9110, 13.1.5)
    part = medium.part(wanted)
    if part is None:
        unsatisfied = {"Content-Range": f"bytes */{medium.size}"}
        text = "The requested range is not satisfiable"
        return _error(416, "InvalidRange", text, unsatisfied), "refused"
    headers = {"Accept-Ranges": "bytes", "ETag": medium.etag}
    if not part.partial:
        return Answer(200, part, medium.content_type, headers), "served"
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{medium.size}"
    return Answer(206, part, medium.content_type, headers), "served"


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return Answer(status, body.encode(), "application/xml", headers or {})
