"""The same as flask_app.py: metrics are one line.

    gunicorn -w 4 flask_one_line:app
"""

import time

import shmetrics.flask
from flask import Flask

app = Flask(__name__)
shmetrics.flask.instrument(app, app_name="shop")


@app.get("/")
def index():
    return "hello\n"


@app.get("/items/<int:item>")
def item(item):
    return f"item {item}\n"


@app.get("/slow/<float:seconds>")
def slow(seconds):
    time.sleep(seconds)
    return "done\n"
