"""The same as wsgi_app.py: metrics are one line. WSGI has no routes, so the application says which one it was.

    gunicorn -w 4 wsgi_one_line:app
"""

import time

import shmetrics.wsgi


def hello(environ, start_response):
    first, _, rest = environ["PATH_INFO"][1:].partition("/")
    endpoint, status, body = "none", "404 Not Found", b"there is no such page\n"
    if first == "":
        endpoint, status, body = "/", "200 OK", b"hello\n"
    elif first == "items":
        endpoint, status, body = "/items/<item>", "200 OK", f"item {rest}\n".encode()
    elif first == "slow":
        time.sleep(float(rest))
        endpoint, status, body = "/slow/<seconds>", "200 OK", b"done\n"
    environ["shmetrics.endpoint"] = endpoint
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = shmetrics.wsgi.Middleware(hello, app_name="shop")
