"""``shmetrics.flask.instrument(app)``: metrics of a Flask application's requests, and the page at
/metrics.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from .wsgi import Middleware


def instrument(app: Any, app_name: Optional[str] = None, **options: Any) -> Any:
    """Counts the requests of a Flask application and serves the page at ``path`` (``None``: no
    page). Returns the application.

    ``endpoint`` is the route's rule, such as ``/users/<id>``. The options are those of
    ``shmetrics.wsgi.Middleware``.
    """

    def rule_of(environ: "Dict[str, Any]") -> Optional[str]:
        rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
        if rule is None:
            rule = _match(app, environ)
        return None if rule is None else str(rule.rule)

    options["endpoint"] = options.get("endpoint") or rule_of
    app.wsgi_app = Middleware(app.wsgi_app, app.name if app_name is None else app_name, **options)
    return app


def _match(app: Any, environ: "Dict[str, Any]") -> Any:
    """The rule of a request that the application has not matched: another middleware has answered,
    or the rule does not have the method.
    """
    from werkzeug.exceptions import HTTPException, MethodNotAllowed

    try:
        adapter = app.create_url_adapter(app.request_class(environ, populate_request=False))
        try:
            return adapter.match(return_rule=True)[0]
        except MethodNotAllowed as refused:
            return adapter.match(method=next(iter(refused.valid_methods or ()), None), return_rule=True)[0]
    except HTTPException:
        return None
