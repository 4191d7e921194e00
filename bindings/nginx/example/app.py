"""An application behind nginx, as prometheus_client has it in multiprocess mode.

    SHMETRICS_SEGMENT=shop PROMETHEUS_MULTIPROC_DIR=/run/shop gunicorn -w 4 -b 127.0.0.1:8000 app:app

With the package shmetrics, its metrics are on the page of nginx: see nginx.conf.
"""

from prometheus_client import Counter, Gauge, Histogram

checkouts = Counter("shop_checkouts_total", "Orders paid, by the means of payment.", ["payment"])
amounts = Histogram("shop_checkout_amount_euros", "Amounts of orders.", buckets=(10, 50, 100, 500))
in_progress = Gauge("shop_checkouts_in_progress", "Orders that are being paid.", multiprocess_mode="livesum")


def app(environ, start_response):
    with in_progress.track_inprogress():
        if environ["PATH_INFO"].startswith("/api/"):
            checkouts.labels("card").inc()
            amounts.observe(42)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"thank you\n"]
