"""A gunicorn worker that takes deliveries which are there at the same moment together.

A thread that waits for a commit hands the interpreter to another, and has to wait for it afterwards
with every other process waiting behind its lock; with a thread for each delivery that costs several
times what the delivery itself does. Here a single thread runs the application for all that have
come, and only then sends their answers: the first answer commits for all (`rtms.db.group_commit`).

Only requests that are here to their last byte are taken so, and only deliveries of Zoom's: nobody
who sends slowly, and nothing that takes long, may hold up the others. The thread for it does
nothing else, and a request that is still coming waits without a thread. Where a disk or a network
holds it up, another one stands in for it, so that what comes meanwhile gets its 503 in time.
"""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from contextlib import suppress
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue
from selectors import EVENT_READ
from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers.gthread import _DEFER

from rtms.server.patient_worker import PatientWorker
from rtms.server.request_arrival import is_delivery, is_read_ahead, is_whole_delivery, peek, size_of
from rtms.web.deferred_response import ARRIVED_AT

_MOST = 32  # requests that are taken together
_LOOK_EVERY, _HELD_UP = 0.25, 0.5  # seconds
# errno; gunicorn's own errors of the connection have none
_CLIENT_HAS_GONE = {
    None, errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF, errno.EAGAIN,
}  # fmt: skip


class _Done:
    """A request's end, as gunicorn wants to be told of it."""

    def __init__(self, keep: object) -> None:
        self._keep = keep

    def cancelled(self) -> bool:
        return False

    def result(self) -> object:
        return self._keep


class _Begun:
    """A request that the application has begun to answer."""

    def __init__(
        self, conn: Any, req: Any, resp: Any, environ: Any, answer: Any, at: datetime
    ) -> None:
        self.conn = conn
        self.req = req
        self.resp = resp
        self.environ = environ
        self.answer = answer
        self.at = at


class TogetherWorker(PatientWorker):
    """gunicorn's threaded worker, which takes deliveries together."""

    def init_process(self) -> None:
        self._arrived: SimpleQueue[Any] = SimpleQueue()  # connections whose request is here
        self._round_began: float | None = None  # monotonic
        super().init_process()

    def run(self) -> None:
        # Not gunicorn's: clients can fill those.
        for target in (self._take_for_ever, self._stand_in_for_ever):
            threading.Thread(target=target, name="together", daemon=True).start()
        super().run()

    def enqueue_req(self, conn: Any) -> None:
        if self.cfg.is_ssl or is_read_ahead(conn):
            super().enqueue_req(conn)
            return
        try:
            seen = peek(conn)
        except BlockingIOError:  # whoever connects and says nothing waits without a thread
            self.finish_request(conn, _Done(_DEFER))
            return
        except OSError:
            seen = b""
        if not seen:  # nobody is there any more
            self.unwatch(conn)
            self.finish_request(conn, _Done(False))
            return
        size = size_of(seen)
        if size is not None and len(seen) < size:
            self._await(conn, size)
        elif size is not None and is_delivery(seen):
            self._take(conn)
        else:
            super().enqueue_req(conn)

    def _await(self, conn: Any, size: int) -> None:
        """Wait for a request's rest without a thread, until so many bytes of it are here."""
        self.watch(conn)
        conn.sock.setblocking(False)
        try:
            # What is here already must not wake anybody again.
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
            self.poller.register(conn.sock, EVENT_READ, partial(self._on_more, conn, size))
        except (OSError, ValueError):  # a thread finds out what is wrong with it
            super().enqueue_req(conn)

    def _on_more(self, conn: Any, size: int, client: socket.socket) -> None:
        self.poller.unregister(client)
        conn.data_ready = True
        with suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            if len(peek(conn)) < size:  # nothing more comes: its end did, or it was cut off
                super().enqueue_req(conn)
                return
        self.enqueue_req(conn)

    def _take(self, conn: Any) -> None:
        conn.arrived_at = time.monotonic()
        self._arrived.put(conn)

    def _take_for_ever(self) -> None:
        while True:
            first = self._arrived.get()
            self._round_began = time.monotonic()
            self._take_round(first)
            self._round_began = None

    def _stand_in_for_ever(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY)
            with suppress(Empty):
                while self._is_held_up():
                    self._take_round(self._arrived.get_nowait())

    def _is_held_up(self) -> bool:
        began = self._round_began
        return began is not None and time.monotonic() - began > _HELD_UP

    def _take_round(self, first: Any) -> None:
        """Take a request, and those that are here by now."""
        mine = [first]
        with suppress(Empty):
            while len(mine) < _MOST:
                mine.append(self._arrived.get_nowait())
        try:
            begun = [self._begin(conn) for conn in mine]
            kept = [each.conn for each in begun if each and self._finish(each)]
            # Behind those that came meanwhile: nobody may wait for ever.
            for conn in self._with_more(kept):
                self._arrived.put(conn)
        except Exception:  # a round that breaks off must not end the thread
            self.log.exception("deliveries taken together broke off")

    def _begin(self, conn: Any) -> _Begun | None:
        req = None
        try:
            conn.sock = self.spare(conn.sock)
            conn.sock.setblocking(True)
            conn.init()
            self.watch(conn)
            req = next(conn.parser)
            self.cfg.pre_request(self, req)
            at = datetime.now()  # noqa: DTZ005 - gunicorn's access log wants it so
            resp, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg)
            environ["wsgi.multithread"] = True
            environ[ARRIVED_AT] = conn.arrived_at
            self.nr += 1
            if self.nr >= self.max_requests and self.alive:
                self.log.info("Autorestarting worker after current request.")
                self.alive: bool = False
            full = len(self.keepalived_conns) >= self.max_keepalived
            if not self.alive or not self.cfg.keepalive or full:
                resp.force_close()
            answer = self.wsgi(environ, resp.start_response)
            return _Begun(conn, req, resp, environ, answer, at)
        except Exception as error:
            self._break_off(conn, req, error)
            return None

    def _finish(self, begun: _Begun) -> bool:
        """Send an answer. Returns whether the connection stays open."""
        conn, resp = begun.conn, begun.resp
        try:
            conn.sock.hold()
            try:
                for part in begun.answer:
                    resp.write(part)
                resp.close()
            finally:
                took = datetime.now() - begun.at  # noqa: DTZ005
                self.log.access(resp, begun.req, begun.environ, took)
                if hasattr(begun.answer, "close"):
                    begun.answer.close()
            conn.sock.setblocking(False)  # who does not read must not hold up the others
            conn.sock.let_go()
            self.cfg.post_request(self, begun.req, begun.environ, resp)
            keep = not resp.should_close() and self._keepalive_after(conn, True)
        except Exception as error:
            self._break_off(conn, begun.req, error)
            return False
        self.unwatch(conn)
        if not keep:
            self._give_back([conn], keep=False)
        return keep

    def _break_off(self, conn: Any, req: Any, error: Exception) -> None:
        self.unwatch(conn)
        try:
            if isinstance(error, OSError) and error.errno not in _CLIENT_HAS_GONE:
                self.log.error("The answer could not be made.", exc_info=error)
            elif not isinstance(error, OSError | StopIteration):
                conn.sock.drop()
                self.handle_error(req, conn.sock, conn.client, error)
        except Exception:
            self.log.exception("The error could not be told.")
        finally:
            self._give_back([conn], keep=False)

    def _with_more(self, conns: list[Any]) -> list[Any]:
        """Those of the connections whose next request is here already. The others are given
        back."""
        poll = select.poll()
        for conn in conns:
            poll.register(conn.sock, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(0)} if conns and self.alive else set()
        now = time.monotonic()
        more, others = [], []
        for conn in conns:
            if conn.sock.fileno() in ready and is_whole_delivery(conn):
                conn.arrived_at = now
                more.append(conn)
            else:
                others.append(conn)
        if others:
            self._give_back(others, keep=True)
        return more

    def _give_back(self, conns: list[Any], *, keep: bool) -> None:
        """Hand connections back to gunicorn's thread: all at once, for each time wakes it."""
        self.method_queue.defer(self._finish_requests, conns, _Done(keep))

    def _finish_requests(self, conns: list[Any], done: _Done) -> None:
        for conn in conns:
            self.finish_request(conn, done)
