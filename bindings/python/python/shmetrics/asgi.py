"""Metrics of requests for any ASGI application, such as those of Starlette and FastAPI, and the
page.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from ._http import FAILED, GONE, RequestMetrics
from ._page import make_asgi_app
from .wsgi import ENDPOINT

Scope = Dict[str, Any]
Receive = Callable[[], Awaitable[Dict[str, Any]]]
Send = Callable[[Dict[str, Any]], Awaitable[None]]

#: Messages with a piece of the body.
_PIECES = ("http.response.body", "http.response.zerocopysend")
_PARTIAL, _FULL = 1, 2  # values of Starlette's Match


class Middleware:
    """Counts the requests of an ASGI application, and serves the page at ``path`` (``None``: no
    page).

    The label ``endpoint`` is what ``endpoint(scope)`` returns when the application answers. By
    default it is the whole template of the request's route in Starlette or FastAPI, such as
    ``/users/{id}``, and in other applications ``scope["shmetrics.endpoint"]``, which the
    application sets. The options are those of ``RequestMetrics``: see docs/python.md.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], app_name: str = "app", **options: Any) -> None:
        self._prepare(app, RequestMetrics(app_name, **options))

    def _prepare(self, app: Callable[..., Awaitable[None]], metrics: RequestMetrics) -> None:
        self.app = app
        self._metrics = metrics
        self._page = make_asgi_app(metrics.registry)
        self._templates = _Templates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _path_below_root(scope)
        if path == self._metrics.path:
            await self._page(scope, receive, send)
            return
        if self._metrics.excludes(path):
            await self.app(scope, receive, send)
            return
        request = self._metrics.begin(scope.get("method", "GET"), scope, _Route(self.app, scope, self._templates).template)
        gone = False
        has_trailers = False

        async def receiving() -> "Dict[str, Any]":
            nonlocal gone
            message = await receive()
            gone = gone or message["type"] == "http.disconnect"
            return message

        async def sending(message: "Dict[str, Any]") -> None:
            nonlocal has_trailers
            kind = message["type"]
            if kind == "http.response.start":
                has_trailers = bool(message.get("trailers"))
                request.answer(message["status"])
            await send(message)
            if kind == "http.response.trailers":
                ends = not message.get("more_trailers")
            elif kind == "http.response.pathsend":
                ends = not has_trailers
            else:
                ends = kind in _PIECES and not message.get("more_body") and not has_trailers
            if ends:
                # The application may continue, for example with background tasks of Starlette.
                request.end()

        try:
            await self.app(scope, receiving, sending)
        except Exception:
            request.end(GONE if gone else FAILED)
            raise
        except BaseException:
            request.end(GONE)  # it is cancelled
            raise
        request.end(GONE if gone else FAILED)


class _Ready(Middleware):
    """For frameworks that create middlewares later. The arguments were checked before."""

    def __init__(self, app: Callable[..., Awaitable[None]], metrics: RequestMetrics) -> None:
        self._prepare(app, metrics)


def instrument(app: Any, app_name: str = "app", **options: Any) -> Any:
    """Counts the requests of an application. Returns the application to serve: Starlette's itself,
    any other one wrapped.
    """
    if hasattr(app, "add_middleware") and hasattr(app, "user_middleware"):
        app.add_middleware(_Ready, metrics=RequestMetrics(app_name, **options))
        return app
    return Middleware(app, app_name, **options)


def _path_below_root(scope: Scope) -> str:
    """The path below the application's mount point or the proxy's prefix."""
    path, root = str(scope.get("path", "")), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


class _Route:
    """Finds the template of a request's route, in any version of Starlette and FastAPI.

    Routers note the endpoint in the scope. Where one route alone has that endpoint, its template is
    known. Otherwise the request is matched again, by the routes' own ``matches``: only the newest
    versions note the route as well, and a mounted application does not know its prefix.
    """

    __slots__ = ("_scope", "_templates", "_path", "_app", "_router", "_root")

    def __init__(self, app: Any, scope: Scope, templates: "_Templates") -> None:
        self._scope = scope
        self._templates = templates
        self._path = scope.get("path")
        # In a middleware inside of the application, the scope names the application already, and
        # below a mount also the outer router.
        self._app = app if _routes_of(app) is not None else scope.get("app")
        self._router = scope.get("router")
        self._root = scope.get("root_path", "") if "app_root_path" in scope else None

    def template(self) -> Optional[str]:
        scope = self._scope
        if ENDPOINT in scope:
            return str(scope[ENDPOINT])
        app = self._app
        if app is None or (self._router is not None and getattr(app, "router", None) is self._router):
            app = scope.get("router", scope.get("app"))
        routes = _routes_of(app)
        if routes is None:
            # Other frameworks may note the route in the same way.
            path = getattr(scope.get("route"), "path", None)
            return path if isinstance(path, str) else None
        known = self._templates.of(routes, scope.get("endpoint"))
        if known is not None:
            return known
        # Mounts change `root_path`, and keep the original in `app_root_path`.
        root = str(scope.get("app_root_path", scope.get("root_path", "")) if self._root is None else self._root)
        route = scope.get("route")
        if route is not None and root == scope.get("root_path", "") and any(known is route for known in routes):
            regex = getattr(route, "path_regex", None)
            if regex is not None and not hasattr(route, "routes") and regex.match(_path_below_root(scope)):
                return str(route.path)
        fresh = {key: value for key, value in scope.items() if key not in ("app_root_path", "path_params", "fastapi")}
        fresh["root_path"] = root
        if scope.get("root_path", "")[len(root) :] + scope.get("path", "") == self._path:
            # Before version 0.33, mounts remove what they have matched from the path.
            fresh["path"] = self._path
        return _match(routes, fresh)


#: Where a route is: the list, the place in it, and what is there.
_Link = Tuple[Any, int, Any]


class _Templates:
    """The templates of endpoints that belong to one route each."""

    def __init__(self) -> None:
        self._routes: Any = None
        #: All lists of routes, with their lengths.
        self._lists: "List[Tuple[Any, int]]" = []
        #: By the endpoint's ``id``. The endpoint is kept, so that the ``id`` stays its own. The
        #: template is ``None`` if several routes have the endpoint.
        self._found: "Dict[int, Tuple[Any, Optional[str], Tuple[_Link, ...]]]" = {}

    def of(self, routes: Any, endpoint: Any) -> Optional[str]:
        """The template of this endpoint's route; ``None`` if it is not known."""
        if endpoint is None:
            return None
        if self._routes is not routes or any(len(known) != length for known, length in self._lists):
            self._read(routes)
        _, template, links = self._found.get(id(endpoint), (None, None, ()))
        if any(known[at] is not route for known, at, route in links):
            # A route has replaced another one.
            self._read(routes)
            template = self._found.get(id(endpoint), (None, None, ()))[1]
        return template

    def _read(self, routes: Any) -> None:
        lists: "List[Tuple[Any, int]]" = []
        found: "Dict[int, Tuple[Any, Optional[str], Tuple[_Link, ...]]]" = {}
        todo: "List[Tuple[Any, str, Tuple[_Link, ...]]]" = [(routes, "", ())]
        # A router that is mounted in itself would have no end.
        while todo and len(lists) < 1000:
            of, prefix, links = todo.pop()
            lists.append((of, len(of)))
            for at, entry in enumerate(of):
                here = (*links, (of, at, entry))
                for route in _each([entry]):
                    path = getattr(route, "path", "")
                    below = _below(route)
                    if below is not None:
                        todo.append((below, prefix + path, here))
                        continue
                    endpoint = getattr(route, "endpoint", None) or getattr(route, "app", None)
                    template: Optional[str] = prefix + (path or "/")
                    other = found.get(id(endpoint))
                    if other is not None and other[1] != template:
                        template = None
                    found[id(endpoint)] = (endpoint, template, here)
        if todo:
            found.clear()
        self._routes, self._lists, self._found = routes, lists, found


def _below(route: Any) -> Any:
    """The routes below a mount; ``None`` for a route, and for mounts that hide them."""
    if not hasattr(route, "routes"):
        return None
    return route.routes or _routes_of(getattr(route, "app", None))


def _match(routes: "Iterable[Any]", scope: Scope) -> Optional[str]:
    """The template of the route that a router takes: the first that matches, or else the first that
    matches but for its method.
    """
    partial: Optional[str] = None
    for route in _each(routes):
        match, child_scope = route.matches(scope)
        if match.value not in (_PARTIAL, _FULL):
            continue
        template: Optional[str] = getattr(route, "path", "") or "/"
        below = _below(route)
        if below is not None:
            rest = _match(below, {**scope, **child_scope})
            template = None if rest is None else getattr(route, "path", "") + rest
        if match.value == _FULL:
            return template
        partial = partial or template
    return partial


def _each(routes: "Iterable[Any]") -> "Iterator[Any]":
    """Routes, and those of routers that newer versions of FastAPI include without a copy."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            for context in contexts():
                yield getattr(context, "starlette_route", None) or context


def _routes_of(app: Any) -> Any:
    """The routes of an application, also inside of middlewares; ``None`` if they cannot be found.
    """
    for _ in range(30):
        routes = getattr(app, "routes", None)
        if isinstance(routes, (list, tuple)):
            return routes
        app = getattr(app, "app", None)
        if app is None:
            break
    return None
