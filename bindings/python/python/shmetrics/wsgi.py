"""Metrics of requests for any WSGI application, and the page."""

from __future__ import annotations

import weakref
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from ._http import FAILED, GONE, Request, RequestMetrics
from ._page import make_wsgi_app

#: Where an application, or a framework's hook, says what the label ``endpoint`` is to be.
ENDPOINT = "shmetrics.endpoint"


def _noted(environ: "Dict[str, Any]") -> Optional[str]:
    found = environ.get(ENDPOINT)
    return None if found is None else str(found)


class Middleware:
    """Counts the requests of a WSGI application, and serves the page at ``path`` (``None``: it does
    not).

    The label ``endpoint`` is what ``endpoint(environ)`` returns once the application has begun to
    answer; without that function, what the application has put into
    ``environ["shmetrics.endpoint"]``. It must be a route and not a path. ``None`` is shown as
    ``unmatched``. The options are those of ``RequestMetrics``: see docs/python.md.
    """

    def __init__(self, app: Callable[..., "Iterable[bytes]"], app_name: str = "app", **options: Any) -> None:
        self.app = app
        self._metrics = RequestMetrics(app_name, **options)
        self._metrics.endpoint = self._metrics.endpoint or _noted
        self._page = make_wsgi_app(self._metrics.registry)

    def __call__(self, environ: "Dict[str, Any]", start_response: Callable[..., Any]) -> Any:
        path = environ.get("PATH_INFO", "")
        if path == self._metrics.path:
            return self._page(environ, start_response)
        if self._metrics.excludes(path):
            return self.app(environ, start_response)
        answer = _Answer(self._metrics.begin(environ.get("REQUEST_METHOD", "GET"), environ), environ, start_response)
        try:
            body = self.app(environ, answer.start_response)
        except BaseException:
            answer.failed()
            raise
        return answer.body(body)


class _Answer:
    """An answer, whose status may change until some of it is sent."""

    __slots__ = ("_request", "_environ", "_start_response", "_status")

    def __init__(self, request: Request, environ: "Dict[str, Any]", start_response: Callable[..., Any]) -> None:
        self._request = request
        self._environ = environ
        self._start_response = start_response
        self._status: Optional[str] = None

    def start_response(self, status: str, headers: "List[Any]", *exc_info: Any) -> Any:
        write = self._start_response(status, headers, *exc_info)
        self._status = status
        self._request.note()
        if write is None:
            return None  # granian has none

        def counting(data: bytes) -> Any:
            self.sent()
            return write(data)

        return counting

    def sent(self) -> None:
        """What comes next reaches the client, with the last status that the application has said."""
        if self._status is not None:
            self._request.answer(self._status)

    def end(self, unanswered: str = FAILED) -> None:
        self.sent()
        if self._status is None and self._environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            # The application has taken the connection over.
            self._request.answer("101")
        self._request.end(unanswered)

    def failed(self) -> None:
        """An exception: of what is not sent yet the server makes an error page."""
        if self._status is None:
            self.end()
        self._request.end(FAILED)

    def body(self, body: Any) -> Any:
        """The body for the server. It claims no more of the iterable protocol than the
        application's body has.
        """
        if self._status is not None:
            file_wrapper = self._environ.get("wsgi.file_wrapper")
            if isinstance(body, bytes) or hasattr(body, "read") or (isinstance(file_wrapper, type) and isinstance(body, file_wrapper)):
                # Servers know a file by its type or identity, and have sendfile() for it.
                self.sent()
                try:
                    weakref.finalize(body, self.end).atexit = False
                except TypeError:
                    self.end()
                return body
            if isinstance(body, (list, tuple)):
                self.sent()
        if isinstance(body, list):
            return _List(body, self)
        if hasattr(body, "__len__"):
            return _SizedBody(body, self)
        if hasattr(body, "__next__"):
            return _IteratorBody(body, self)
        if hasattr(body, "__iter__"):
            return _Body(body, self)
        # Such as gunicorn's mark that a worker has answered already.
        self.end()
        return body


class _Body:
    """The request ends when its body is exhausted or closed."""

    #: The status of a request whose body is closed before anything was answered.
    _unanswered = GONE

    def __init__(self, body: "Iterable[bytes]", answer: _Answer) -> None:
        self._body = body
        self._answer = answer

    def __iter__(self) -> "Iterator[bytes]":
        try:
            pieces = iter(self._body)
        except BaseException:
            self._answer.failed()
            raise
        return _IteratorBody(pieces, self._answer)

    def close(self) -> None:
        try:
            close: "Optional[Callable[[], Any]]" = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._answer.end(self._unanswered)


class _IteratorBody(_Body):
    """A body that is its own iterator, such as a generator."""

    _body: "Iterator[bytes]"

    def __iter__(self) -> "Iterator[bytes]":
        iter(self._body)
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._body)
        except StopIteration:
            self._answer.end()
            raise
        except BaseException:
            self._answer.failed()
            raise
        if chunk:
            self._answer.sent()
        return chunk


class _SizedBody(_Body):
    """A body of known length. Some servers measure all of it before they send it, so only closing
    it ends the request.
    """

    _unanswered = FAILED

    def __iter__(self) -> "Iterator[bytes]":
        try:
            for chunk in self._body:
                if chunk:
                    self._answer.sent()
                yield chunk
        except GeneratorExit:
            raise
        except BaseException:
            self._answer.failed()
            raise

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


class _List(List[bytes]):
    """A list, which servers know by its type. The request ends when it is closed, or else when the
    server has let it go.
    """

    def __init__(self, body: "List[bytes]", answer: _Answer) -> None:
        super().__init__(body)
        self.close = _SizedBody(body, answer).close


def instrument(app: Callable[..., "Iterable[bytes]"], app_name: str = "app", **options: Any) -> Middleware:
    """``application = shmetrics.wsgi.instrument(application)``."""
    return Middleware(app, app_name, **options)
