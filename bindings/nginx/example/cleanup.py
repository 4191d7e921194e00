"""A cron job beside the application: its metrics are on the same page, and outlive the job.

    */5 * * * * www-data SHMETRICS_SEGMENT=shop PROMETHEUS_MULTIPROC_DIR=/run/shop python3 cleanup.py
"""

from prometheus_client import Counter, Gauge

deleted = Counter("shop_cleanup_deleted_carts_total", "Abandoned carts that the job has deleted.")
last_success = Gauge(
    "shop_cleanup_last_success_timestamp_seconds", "When the job has last come to its end.", multiprocess_mode="max"
)

deleted.inc(3)
last_success.set_to_current_time()
