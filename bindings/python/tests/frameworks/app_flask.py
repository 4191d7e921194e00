"""The application of the framework tests in Flask."""

from __future__ import annotations

from http import HTTPStatus

import flask
import forty
import shmetrics.flask
from flask.views import MethodView

forty.version("flask", "werkzeug")
registry = forty.fresh_registry()
app = flask.Flask("forty", static_folder=None)


def answer(**_):
    return "x"


def view(at, path, name, **options):
    at.add_url_rule(path, name, answer, **options)


class Thing(MethodView):
    def get(self, id):
        return "x"

    def put(self, id):
        return "x", HTTPStatus.ACCEPTED


@app.route("/items/<int:id>", methods=["GET", "POST"])
def item(id):
    return "x", 201 if flask.request.method == "POST" else 200


@app.route("/teapot")
def teapot():
    return "x", HTTPStatus.IM_A_TEAPOT


@app.route("/denied")
def denied():
    flask.abort(403)


@app.route("/lost")
def lost():
    flask.abort(404)


@app.route("/fails")
def fails():
    raise RuntimeError("wanted")


@app.route("/stream")
def stream():
    return flask.Response(forty.pieces())


eu = flask.Blueprint("eu", "eu")
view(eu, "/orders/<id>", "order")
shop = flask.Blueprint("shop", "shop")
view(shop, "/", "shop")
view(shop, "/carts/<id>", "cart")
shop.register_blueprint(eu, url_prefix="/eu")
app.register_blueprint(shop, url_prefix="/shop")
app.add_url_rule("/things/<id>", view_func=Thing.as_view("thing"))
view(app, "/", "index")
view(app, "/users/<name>", "user")
view(app, "/any/<path:path>", "any")
view(app, "/health", "health")
app.logger.disabled = True
assert shmetrics.flask.instrument(app, registry=registry, **forty.OPTIONS) is app
forty.report(registry, lambda method, path: forty.wsgi(app, method, path))
