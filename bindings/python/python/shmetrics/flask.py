"""``shmetrics.flask.instrument(app)``: metrics of a Flask application's requests, and the page at /metrics."""

from __future__ import annotations

from typing import Any, Iterable, Optional

from .registry import REGISTRY, CollectorRegistry
from .wsgi import ENDPOINT, Middleware


def instrument(
    app: Any,
    app_name: Optional[str] = None,
    *,
    path: Optional[str] = "/metrics",
    registry: CollectorRegistry = REGISTRY,
    buckets: "Optional[Iterable[float]]" = None,
) -> Any:
    """Counts the requests of a Flask application and serves the page at ``path`` (``None``: it does not). Returns the application.

    ``endpoint`` is the route's rule, such as ``/users/<id>``. Requests that a hook of the application answers are counted too.
    """
    from flask import request

    def note() -> None:
        # The rule is there before any hook runs.
        rule = request.url_rule
        request.environ[ENDPOINT] = None if rule is None else rule.rule

    app.before_request_funcs.setdefault(None, []).insert(0, note)
    app.wsgi_app = Middleware(
        app.wsgi_app, app_name if app_name is not None else app.name, path=path, registry=registry, buckets=buckets
    )
    return app
