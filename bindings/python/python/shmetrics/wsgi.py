"""Metrics of requests for any WSGI application, and the page."""

from __future__ import annotations

import weakref
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from ._http import FAILED, GONE, Request, RequestMetrics
from ._page import make_wsgi_app

#: The key of the WSGI environment under which an application says its route.
ENDPOINT = "shmetrics.endpoint"


def _endpoint_of(environ: "Dict[str, Any]") -> Optional[str]:
    found = environ.get(ENDPOINT)
    return None if found is None else str(found)


class Middleware:
    """Counts the requests of a WSGI application, and serves the page at ``path`` (``None``: no
    page).

    The label ``endpoint`` is what ``endpoint(environ)`` returns once the application has begun to
    respond. Without that function, it is ``environ["shmetrics.endpoint"]``, which the application
    sets. It must be a route and not a path. ``None`` is shown as ``unmatched``. The options are
    those of ``RequestMetrics``: see docs/python.md.
    """

    def __init__(self, app: Callable[..., "Iterable[bytes]"], app_name: str = "app", **options: Any) -> None:
        self.app = app
        self._metrics = RequestMetrics(app_name, **options)
        self._metrics.endpoint = self._metrics.endpoint or _endpoint_of
        self._page = make_wsgi_app(self._metrics.registry)

    def __call__(self, environ: "Dict[str, Any]", start_response: Callable[..., Any]) -> Any:
        path = environ.get("PATH_INFO", "")
        if path == self._metrics.path:
            return self._page(environ, start_response)
        if self._metrics.excludes(path):
            return self.app(environ, start_response)
        response = _Response(self._metrics.begin(environ.get("REQUEST_METHOD", "GET"), environ), environ, start_response)
        try:
            body = self.app(environ, response.start_response)
        except BaseException:
            response.failed()
            raise
        return response.body(body)


class _Response:
    """A response. Its status may change until some of the body is sent."""

    __slots__ = ("_request", "_environ", "_start_response", "_status")

    def __init__(self, request: Request, environ: "Dict[str, Any]", start_response: Callable[..., Any]) -> None:
        self._request = request
        self._environ = environ
        self._start_response = start_response
        self._status: Optional[str] = None

    def start_response(self, *args: Any, **kwargs: Any) -> Any:
        # Servers accept names of arguments as well, which differ from server to server.
        write = self._start_response(*args, **kwargs)
        self._status = args[0] if args else kwargs.get("status")
        self._request.read_labels()
        if write is None:
            return None  # granian has none

        def counting(data: bytes) -> Any:
            self.sent()
            return write(data)

        return counting

    def sent(self) -> None:
        """The next bytes reach the client, with the last status that the application has set."""
        if self._status is not None:
            self._request.answer(self._status)

    def end(self, unanswered: str = FAILED) -> None:
        self.sent()
        if self._status is None and self._environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            # The application has taken over the connection.
            self._request.answer("101")
        self._request.end(unanswered)

    def failed(self) -> None:
        """The application has raised. If nothing was sent, the server sends an error page."""
        if self._status is None:
            self.end()
        self._request.end(FAILED)

    def body(self, body: Any) -> Any:
        """The body for the server. It has no more of the iterable protocol than the application's
        body.
        """
        if self._status is not None:
            file_wrapper = self._environ.get("wsgi.file_wrapper")
            if isinstance(body, bytes) or hasattr(body, "read") or (isinstance(file_wrapper, type) and isinstance(body, file_wrapper)):
                # Servers recognise a file by its type or identity, and send it by sendfile().
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
        # For example gunicorn's mark that a worker has answered already.
        self.end()
        return body


class _Body:
    """The request ends when its body is exhausted or closed."""

    #: The status of a request whose body is closed before the response began.
    _unanswered = GONE

    def __init__(self, body: "Iterable[bytes]", response: _Response) -> None:
        self._body = body
        self._response = response

    def __iter__(self) -> "Iterator[bytes]":
        try:
            pieces = iter(self._body)
        except BaseException:
            self._response.failed()
            raise
        return _IteratorBody(pieces, self._response)

    def close(self) -> None:
        try:
            close: "Optional[Callable[[], Any]]" = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._response.end(self._unanswered)


class _IteratorBody(_Body):
    """A body that is an iterator, such as a generator."""

    _body: "Iterator[bytes]"

    def __iter__(self) -> "Iterator[bytes]":
        iter(self._body)
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._body)
        except StopIteration:
            self._response.end()
            raise
        except BaseException:
            self._response.failed()
            raise
        if chunk:
            self._response.sent()
        return chunk


class _SizedBody(_Body):
    """A body with a length. Some servers read all of it before they send it, so the request ends
    when it is closed.
    """

    _unanswered = FAILED

    def __iter__(self) -> "Iterator[bytes]":
        try:
            for chunk in self._body:
                if chunk:
                    self._response.sent()
                yield chunk
        except GeneratorExit:
            raise
        except BaseException:
            self._response.failed()
            raise

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


class _List(List[bytes]):
    """A list, which servers recognise by its type. The request ends when it is closed or deleted.
    """

    def __init__(self, body: "List[bytes]", response: _Response) -> None:
        super().__init__(body)
        self.close = _SizedBody(body, response).close


def instrument(app: Callable[..., "Iterable[bytes]"], app_name: str = "app", **options: Any) -> Middleware:
    """``application = shmetrics.wsgi.instrument(application)``."""
    return Middleware(app, app_name, **options)
