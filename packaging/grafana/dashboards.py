#!/usr/bin/env python3
"""Writes the Grafana dashboards beside this file, which users import as they are.

    packaging/grafana/dashboards.py            after a change
    packaging/grafana/dashboards.py --check    exit status 1 if a file is not what this program writes

The files were checked against the types of @grafana/schema 13.2.3, as JSON Schema that
ts-json-schema-generator makes of them. Do so again after a change of anything but titles and queries;
tests/interop/grafana.py has what the tests check.

In an expression, @ stands for the labels that the variables of the dashboard select, and R for
$__rate_interval.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCHEMA_VERSION = 39  # of Grafana 11; later versions of Grafana read it too
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


@dataclass
class Query:
    expression: str
    legend: str = ""


@dataclass
class Panel:
    title: str
    about: str
    unit: str
    queries: list[Query]
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    #: The value from which the panel is red, and for tables the names of the columns.
    red: float | None = None
    columns: list[str] = field(default_factory=list)

    @property
    def height(self) -> int:
        return {"stat": 4, "table": 8}.get(self.kind, 8)


@dataclass
class Dashboard:
    uid: str
    title: str
    about: str
    #: A metric that is on each page of interest: it fills the lists of jobs and instances.
    metric: str
    #: Rows: a title, and panels.
    rows: list[tuple[str, list[Panel]]]
    #: Variables beside the data source, the job and the instance: a label and its title.
    variables: dict[str, str] = field(default_factory=dict)


def graph(title: str, about: str, unit: str, *queries: tuple[str, str], **rest) -> Panel:
    return Panel(title, about, unit, [Query(*query) for query in queries], **rest)


def stat(title: str, about: str, unit: str, expression: str, red: float | None = None) -> Panel:
    return Panel(title, about, unit, [Query(expression)], "stat", width=4, red=red)


def quantiles(histogram: str, by: str = "") -> list[tuple[str, str]]:
    """The median and the 99th percentile, by a label or of all."""
    legend = f" {{{{{by}}}}}" if by else ""
    labels = f"le, {by}" if by else "le"
    rate = f"sum by ({labels}) (rate({histogram}_bucket{{@}}[R]))"
    return [(f"histogram_quantile({q}, {rate})", f"{name}{legend}") for q, name in ((0.5, "50 %"), (0.99, "99 %"))]


def errors(counter: str, matcher: str) -> str:
    """The share of errors of all requests: 0 without errors, nothing without requests."""
    of = f"sum(rate({counter}{{@}}[R]))"
    return f"(sum(rate({counter}{{@, {matcher}}}[R])) or 0 * {of}) / {of}"


EACH = "{{instance}} {{segment}}"

SHMETRICS = Dashboard(
    uid="shmetrics",
    title="shmetrics",
    about="What the library, the exporter and its segments report about themselves. docs/runbook.md explains each metric.",
    metric="shmetrics_series",
    variables={"segment": "Segment"},
    rows=[
        ("State", [
            stat("Segments in use", "Segments that at least one process has open for counting.", "short", "sum(shmetrics_segment_in_use{@})"),
            stat("Segments without processes", "The application has ended, and the page shows its last values.", "short",
                 "count(shmetrics_segment_in_use{@}) - sum(shmetrics_segment_in_use{@})", red=1),
            stat("Processes", "Processes that have a segment open for counting.", "short", 'sum(shmetrics_processes{@, state="attached"})'),
            stat("Fullest segment", "Bytes in use, as a share of the maximum size.", "percentunit",
                 "max(shmetrics_segment_used_bytes{@} / shmetrics_segment_max_size_bytes{@})", red=0.85),
            stat("Series", "Series on the pages, without those of the library.", "short", "sum(shmetrics_series{$P})"),
            stat("Firing alerts", "Alerts of shmetrics-rules.yml. Without these rules the number is 0.", "short",
                 'count(ALERTS{alertname=~"Shmetrics.*", alertstate="firing", job=~"$job"}) or vector(0)', red=1),
            Panel("Segments", "One line for each segment. An update is seen by the page after it.", "short", [
                Query('sum by (instance, segment) (shmetrics_processes{@, state="attached"})'),
                Query("max by (instance, segment) (shmetrics_segment_used_bytes{@} / shmetrics_segment_max_size_bytes{@})"),
                Query("max by (instance, segment) (shmetrics_segment_max_size_bytes{@})"),
                Query("time() - max by (instance, segment) (shmetrics_last_update_timestamp_seconds{@})"),
                Query("sum by (instance, segment) (shmetrics_overflow_lookups_total{@})"),
            ], "table", width=24, columns=["Processes", "Full", "Maximum size", "Last update", "Overflow look-ups"]),
        ]),
        ("Room", [
            graph("Fullness", "Bytes in use, as a share of the maximum size. When a segment is full, new label sets are counted in overflow series.",
                  "percentunit", ("shmetrics_segment_used_bytes{@} / shmetrics_segment_max_size_bytes{@}", EACH), red=0.85),
            graph("Bytes in use", "The per-CPU cells and the leaked bytes are a part of the bytes in use.", "bytes",
                  ("shmetrics_segment_used_bytes{@}", f"used {EACH}"), ("shmetrics_segment_per_cpu_bytes{@}", f"per-CPU cells {EACH}"),
                  ("shmetrics_segment_leaked_bytes{@}", f"leaked {EACH}")),
            graph("Series", "Series on a page, and series that are removed per second.", "short",
                  ("shmetrics_series{$P}", "{{instance}}"), ("rate(shmetrics_series_removed_total{@}[R])", f"removed per second {EACH}")),
        ]),
        ("What segments could not take", [
            graph("Overflow look-ups", "Look-ups that returned an overflow series, because a limit was reached or the segment was full.", "ops",
                  ("rate(shmetrics_overflow_lookups_total{@}[R])", EACH)),
            graph("Registrations that failed", "Usually two definitions of one metric. The error is in the application's log.", "ops",
                  ("rate(shmetrics_registrations_failed_total{@}[R])", EACH)),
            graph("Updates that were not done", "Rejected: their value, or the limit of processes. Stale: through handles of removed series.", "ops",
                  ("rate(shmetrics_updates_rejected_total{@}[R])", f"rejected {EACH}"), ("rate(shmetrics_stale_updates_total{@}[R])", f"stale {EACH}")),
            graph("Observations without room", "Observations that found no room for a new native bucket, or for a new bucket of quantiles.", "ops",
                  ("rate(shmetrics_observations_refused_total{@}[R])", EACH)),
            graph("Damaged records and conflicts", "What pages leave out. Any value but 0 means that metrics are missing.", "short",
                  ("shmetrics_corrupt_records{$P}", f"damaged {EACH}"), ("shmetrics_conflicts{$P}", f"conflicts {EACH}"), red=1),
            graph("Current", "0: processes count in a segment that was removed or replaced. New processes do not see it.", "bool_yes_no",
                  ("shmetrics_segment_current{@}", EACH)),
        ]),
        ("Processes", [
            graph("Processes", "Attached: all that have the segment open. Alive and dead: processes with per-process gauges.", "short",
                  ("shmetrics_processes{@}", "{{state}} " + EACH)),
            graph("Time since the last update", "An application that hangs counts nothing.", "s",
                  ("time() - shmetrics_last_update_timestamp_seconds{@}", EACH)),
            graph("In use", "0: no process has the segment open for counting.", "bool_yes_no", ("shmetrics_segment_in_use{@}", EACH)),
        ]),
        ("Pages and the exporter", [
            graph("Time of a scrape", "The time to render the page, and the whole scrape as Prometheus measures it.", "s",
                  ("shmetrics_render_seconds{$P}", "rendering {{instance}}"), ("scrape_duration_seconds{$P}", "scrape {{instance}}")),
            graph("Answers", "Answers of the exporter for the page, by status.", "reqps",
                  ("sum by (instance, code) (rate(shmetrics_serve_requests_total{$P}[R]))", "{{code}} {{instance}}"), stacked=True),
            graph("Refused and given up", "Failed logins, failed TLS handshakes, closed connections and abandoned pages.", "ops",
                  ("sum by (instance, reason) (rate(shmetrics_serve_login_failures_total{$P}[R]))", "login {{reason}} {{instance}}"),
                  ("rate(shmetrics_serve_tls_errors_total{$P}[R])", "TLS {{instance}}"),
                  ("sum by (instance, what) (rate(shmetrics_serve_shed_total{$P}[R]))", "{{what}} {{instance}}")),
            graph("Segments", "1: the segment is on the page. Ignored: segments of other users, or too many.", "short",
                  ("shmetrics_serve_segment_up{@}", EACH), ("shmetrics_serve_segments_ignored{$P}", "ignored {{instance}}")),
            graph("Changes of the web configuration", "A refused change leaves the previous settings in force.", "short",
                  ("increase(shmetrics_serve_config_reloads_total{$P}[R])", "{{result}} {{instance}}")),
            graph("Exporter: processor", "User and system CPU time of the exporter itself.", "percentunit",
                  ("rate(shmetrics_serve_process_cpu_seconds_total{$P}[R])", "{{instance}}")),
            graph("Exporter: memory", "Resident memory of the exporter itself. The mapped segments are a part of it.", "bytes",
                  ("shmetrics_serve_process_resident_memory_bytes{$P}", "{{instance}}")),
            graph("Exporter: descriptors", "Open file descriptors of the exporter itself.", "short",
                  ("shmetrics_serve_process_open_fds{$P}", "{{instance}}")),
            graph("Exporter: version and age", "Seconds since the exporter started, by version.", "s",
                  ("(time() - shmetrics_serve_process_start_time_seconds{$P}) * on (job, instance) group_left (version) shmetrics_serve_build_info{$P}", "{{version}} {{instance}}")),
        ]),
    ],
)  # fmt: skip

NGINX = Dashboard(
    uid="shmetrics-nginx",
    title="nginx (shmetrics)",
    about="Requests, times, upstreams and connections of nginx with the module ngx_http_shmetrics_module. docs/nginx.md explains each metric.",
    metric="nginx_http_requests_total",
    variables={"server": "Server"},
    rows=[
        ("Requests", [
            stat("Requests per second", "Requests that have ended, of the selected servers.", "reqps", "sum(rate(nginx_http_requests_total{@}[R]))"),
            stat("Errors", "Share of answers 5xx.", "percentunit", errors("nginx_http_requests_total", 'status=~"5.*"'), red=0.01),
            stat("99 % of the requests", "99 of 100 requests are faster.", "s",
                 "histogram_quantile(0.99, sum by (le) (rate(nginx_http_request_duration_seconds_bucket{@}[R])))"),
            stat("In progress", "Requests that nginx answers now.", "short", "sum(nginx_http_requests_in_progress{@})"),
            stat("Connections", "Open connections of clients.", "short", 'sum(nginx_connections{$P, state="active"})'),
            stat("Bytes per second", "Bytes sent to clients.", "Bps", "sum(rate(nginx_http_sent_bytes_total{@}[R]))"),
            graph("Requests by status", "Status 000: the client left before an answer.", "reqps",
                  ("sum by (status) (rate(nginx_http_requests_total{@}[R]))", "{{status}}"), stacked=True),
            graph("Requests by location", "By the names that shmetrics_server and shmetrics_location give.", "reqps",
                  ("sum by (server, location) (rate(nginx_http_requests_total{@}[R]))", "{{server}} {{location}}"), stacked=True),
            graph("Requests by method", "A method that nginx does not know is other.", "reqps",
                  ("sum by (method) (rate(nginx_http_requests_total{@}[R]))", "{{method}}"), stacked=True),
            graph("Time", "From the first byte of the request to the last byte of the answer.", "s",
                  *quantiles("nginx_http_request_duration_seconds", "location")),
            graph("In progress", "Requests that nginx answers at the moment of the scrape.", "short",
                  ("sum by (server) (nginx_http_requests_in_progress{@})", "{{server}}")),
            graph("Bytes", "Bytes received from clients, and sent to clients.", "Bps",
                  ("sum(rate(nginx_http_received_bytes_total{@}[R]))", "received"), ("sum(rate(nginx_http_sent_bytes_total{@}[R]))", "sent")),
        ]),
        ("Upstreams", [
            graph("Attempts by status", "Each attempt to get an answer of an upstream. 502: the peer cannot be reached. 504: a timeout.", "reqps",
                  ("sum by (upstream, status) (rate(nginx_http_upstream_requests_total{$P}[R]))", "{{upstream}} {{status}}"), stacked=True),
            graph("Attempts by peer", "An uneven load, or a peer that gets no requests, shows here.", "reqps",
                  ("sum by (upstream, peer) (rate(nginx_http_upstream_requests_total{$P}[R]))", "{{upstream}} {{peer}}"), stacked=True),
            graph("Retries", "Attempts after the first, for one request.", "reqps",
                  ("sum by (upstream) (rate(nginx_http_upstream_retries_total{$P}[R]))", "{{upstream}}")),
            graph("Time of the answer, 99 %", "Until the connection is made, until the header has come, and until the whole answer has come.", "s",
                  *[(f"histogram_quantile(0.99, sum by (le, upstream) (rate(nginx_http_upstream_{part}_duration_seconds_bucket{{$P}}[R])))",
                     f"{part} {{{{upstream}}}}") for part in ("connect", "header", "response")]),
            graph("Bytes", "Bytes received from upstreams, and sent to upstreams.", "Bps",
                  ("sum by (upstream) (rate(nginx_http_upstream_received_bytes_total{$P}[R]))", "received {{upstream}}"),
                  ("sum by (upstream) (rate(nginx_http_upstream_sent_bytes_total{$P}[R]))", "sent {{upstream}}")),
            graph("Cache", "Requests by the status of the cache, if there is one.", "reqps",
                  ("sum by (server, status) (rate(nginx_http_cache_requests_total{@}[R]))", "{{server}} {{status}}"), stacked=True),
        ]),
        ("Connections", [
            graph("Connections", "By state. Waiting connections are idle.", "short",
                  ("sum by (state) (nginx_connections{$P})", "{{state}}")),
            graph("New connections", "Accepted connections that are not handled hit a limit of nginx.", "cps",
                  ("sum(rate(nginx_connections_accepted_total{$P}[R]))", "accepted"), ("sum(rate(nginx_connections_handled_total{$P}[R]))", "handled")),
            graph("TLS handshakes", "By protocol, and by whether the session was resumed. A failed handshake was not complete when its connection ended.", "cps",
                  ("sum by (protocol, reused) (rate(nginx_http_tls_handshakes_total{@}[R]))", "{{protocol}}, resumed: {{reused}}"),
                  ("sum(rate(nginx_http_tls_handshake_failures_total{@}[R]))", "failed"), stacked=True),
            graph("Limits", "Requests by the outcome of limit_req and of limit_conn.", "reqps",
                  ("sum by (server, status) (rate(nginx_http_limit_req_requests_total{@}[R]))", "limit_req {{status}} {{server}}"),
                  ("sum by (server, status) (rate(nginx_http_limit_conn_requests_total{@}[R]))", "limit_conn {{status}} {{server}}"), width=12),
            graph("Errors of custom metrics", "Values that were no numbers, or were negative for a counter.", "ops",
                  ("sum by (metric) (rate(nginx_http_metric_errors_total{$P}[R]))", "{{metric}}"), width=12),
        ]),
        ("TCP and UDP", [
            graph("Sessions", "Sessions of stream servers that have ended, by status.", "cps",
                  ("sum by (server, protocol, status) (rate(nginx_stream_sessions_total{$P}[R]))", "{{server}} {{protocol}} {{status}}"), stacked=True),
            graph("Sessions in progress", "Open sessions of stream servers.", "short",
                  ("sum by (server) (nginx_stream_sessions_in_progress{$P})", "{{server}}")),
            graph("Duration of sessions", "From the accepted connection to its end.", "s",
                  *[(query.replace("@", "$P"), legend) for query, legend in quantiles("nginx_stream_session_duration_seconds", "server")]),
            graph("Bytes", "Bytes received from clients, and sent to clients.", "Bps",
                  ("sum by (server) (rate(nginx_stream_received_bytes_total{$P}[R]))", "received {{server}}"),
                  ("sum by (server) (rate(nginx_stream_sent_bytes_total{$P}[R]))", "sent {{server}}")),
            graph("Sessions to upstreams", "Failed: the peer could not be reached.", "cps",
                  ("sum by (upstream, result) (rate(nginx_stream_upstream_sessions_total{$P}[R]))", "{{upstream}} {{result}}"), stacked=True),
            graph("Time of the connection to upstreams, 99 %", "Until the connection is made, and until the first byte has come.", "s",
                  *[(f"histogram_quantile(0.99, sum by (le, upstream) (rate(nginx_stream_upstream_{part}_duration_seconds_bucket{{$P}}[R])))",
                     f"{part} {{{{upstream}}}}") for part in ("connect", "first_byte")]),
        ]),
    ],
)  # fmt: skip

PROCESSES = ("Processes", [
    graph("Processor", "CPU time of all processes that count, from shmetrics serve --process-metrics.", "percentunit",
          ("sum by (instance) (rate(process_cpu_seconds_total{$P}[R]))", "all {{instance}}"),
          ("rate(process_worker_cpu_seconds_total{$P}[R])", "{{pid}} {{instance}}")),
    graph("Memory", "Resident memory of each process. Memory that processes share is counted in each.", "bytes",
          ("process_worker_resident_memory_bytes{$P}", "{{pid}} {{instance}}")),
    graph("Descriptors", "Open file descriptors of each process.", "short",
          ("process_worker_open_fds{$P}", "{{pid}} {{instance}}")),
])  # fmt: skip

PYTHON = Dashboard(
    uid="shmetrics-python",
    title="Python (shmetrics)",
    about="Requests of Python applications under the middlewares of shmetrics, and of examples/python.",
    metric="http_request_latency_seconds_count",
    variables={"app_name": "Application"},
    rows=[
        ("Requests", [
            stat("Requests per second", "Requests of the selected applications.", "reqps", "sum(rate(http_requests_total{@}[R]))"),
            stat("Errors", "Share of answers 5xx.", "percentunit", errors("http_requests_total", 'http_status=~"5.."'), red=0.01),
            stat("99 % of the requests", "99 of 100 requests are faster.", "s",
                 "histogram_quantile(0.99, sum by (le) (rate(http_request_latency_seconds_bucket{@}[R])))"),
            stat("In progress", "Requests that the workers answer now.", "short", "sum(http_requests_in_progress{@})"),
            graph("Requests by status", "The status that was sent to the client.", "reqps",
                  ("sum by (http_status) (rate(http_requests_total{@}[R]))", "{{http_status}}"), stacked=True),
            graph("Requests by endpoint", "The endpoint is the template of the route.", "reqps",
                  ("sum by (method, endpoint) (rate(http_requests_total{@}[R]))", "{{method}} {{endpoint}}"), stacked=True),
            graph("In progress", "The share of a killed worker is absent.", "short",
                  ("sum by (app_name, instance) (http_requests_in_progress{@})", "{{app_name}} {{instance}}")),
            graph("Time by endpoint", "The median, and the time that 99 of 100 requests stay below.", "s",
                  *quantiles("http_request_latency_seconds", "endpoint"), width=12),
            graph("Mean time by endpoint", "The sum of all times, divided by their number.", "s",
                  ("sum by (endpoint) (rate(http_request_latency_seconds_sum{@}[R])) / sum by (endpoint) (rate(http_request_latency_seconds_count{@}[R]))",
                   "{{endpoint}}"), width=12),
        ]),
        PROCESSES,
    ],
)  # fmt: skip

PREFORK = Dashboard(
    uid="shmetrics-prefork",
    title="Prefork demo (shmetrics)",
    about="Requests of the server of examples/prefork, with workers in C, C++ and Rust. A pattern for the dashboard of a C or C++ application.",
    metric="http_request_duration_seconds_count",
    variables={"lang": "Language"},
    rows=[
        ("Requests", [
            stat("Requests per second", "Requests of the selected languages.", "reqps", "sum(rate(http_requests_total{@}[R]))"),
            stat("Errors", "Share of answers 5xx.", "percentunit", errors("http_requests_total", 'status=~"5.."'), red=0.01),
            stat("99 % of the requests", "99 of 100 requests are faster.", "s",
                 "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{@}[R])))"),
            stat("In progress", "Requests that the workers answer now.", "short", "sum(http_requests_in_progress{@})"),
            graph("Requests by language", "Workers in three languages count in one segment.", "reqps",
                  ("sum by (lang) (rate(http_requests_total{@}[R]))", "{{lang}}"), stacked=True),
            graph("Requests by path", "By method, path and status.", "reqps",
                  ("sum by (method, path, status) (rate(http_requests_total{@}[R]))", "{{method}} {{path}} {{status}}"), stacked=True),
            graph("In progress", "The share of a killed worker is absent.", "short",
                  ("sum by (lang) (http_requests_in_progress{@})", "{{lang}}")),
            graph("Time by path", "From the request to the first byte of its answer.", "s", *quantiles("http_request_duration_seconds", "path"), width=12),
            graph("Mean time by path", "The sum of all times, divided by their number.", "s",
                  ("sum by (path) (rate(http_request_duration_seconds_sum{@}[R])) / sum by (path) (rate(http_request_duration_seconds_count{@}[R]))",
                   "{{path}}"), width=12),
        ]),
        PROCESSES,
    ],
)  # fmt: skip

FILES = {"shmetrics.json": SHMETRICS, "nginx.json": NGINX, "python.json": PYTHON, "prefork.json": PREFORK}


def selection(dashboard: Dashboard, expression: str) -> str:
    """The expression with the labels and the interval written out."""
    page = 'job=~"$job", instance=~"$instance"'
    labels = "".join(f', {label}=~"${label}"' for label in dashboard.variables)
    expression = expression.replace("$P", page).replace("@", page + labels)
    return re.sub(r"\[R\]", "[$__rate_interval]", expression)


def variable(name: str, title: str, query: str, every: str) -> dict:
    return {
        "name": name, "label": title, "type": "query", "datasource": DATASOURCE,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
        "allValue": every, "current": {"text": ["All"], "value": ["$__all"]}, "hide": 0, "options": [], "regex": "", "skipUrlSync": False,
    }  # fmt: skip


def variables(dashboard: Dashboard) -> list[dict]:
    metric = dashboard.metric
    found = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "regex": "",
         "multi": False, "includeAll": False, "hide": 0, "options": [], "skipUrlSync": False},
        variable("job", "Job", f"label_values({metric}, job)", ".+"),
        variable("instance", "Instance", f'label_values({metric}{{job=~"$job"}}, instance)', ".+"),
    ]  # fmt: skip
    # A label that may be absent: all its values are .*
    of = "shmetrics_segment_in_use" if metric == "shmetrics_series" else metric
    for label, title in dashboard.variables.items():
        found.append(variable(label, title, f'label_values({of}{{job=~"$job", instance=~"$instance"}}, {label})', ".*"))
    return found


def targets(dashboard: Dashboard, panel: Panel) -> list[dict]:
    found = []
    for i, query in enumerate(panel.queries):
        target = {"refId": chr(ord("A") + i), "datasource": DATASOURCE, "editorMode": "code", "expr": selection(dashboard, query.expression)}
        if panel.kind == "table":
            target |= {"format": "table", "instant": True, "range": False}
        else:
            target |= {"legendFormat": query.legend or "__auto", "range": True}
        found.append(target)
    return found


def thresholds(panel: Panel) -> dict:
    steps: list[dict] = [{"color": "green", "value": None}]
    if panel.red is not None:
        steps.append({"color": "red", "value": panel.red})
    return {"mode": "absolute", "steps": steps}


def table_columns(panel: Panel) -> dict:
    """The values of the queries side by side, with names and units."""
    units = {"Full": "percentunit", "Maximum size": "bytes", "Last update": "s"}
    letters = [chr(ord("A") + i) for i in range(len(panel.columns))]
    names = {f"Value #{letter}": name for letter, name in zip(letters, panel.columns)}
    overrides = [
        {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": units[name]}]}
        for name in panel.columns
        if name in units
    ]
    organize = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {"instance": "Instance", "segment": "Segment"} | names}
    return {"overrides": overrides, "transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]}


def panel_json(dashboard: Dashboard, panel: Panel, number: int, x: int, y: int) -> dict:
    custom: dict = {}
    options: dict = {}
    made: dict = {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.about, "datasource": DATASOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y}, "targets": targets(dashboard, panel),
    }  # fmt: skip
    overrides: list[dict] = []
    if panel.kind == "timeseries":
        custom = {"fillOpacity": 20 if panel.stacked else 0, "lineWidth": 1, "showPoints": "never",
                  "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
                  "thresholdsStyle": {"mode": "line" if panel.red is not None else "off"}}  # fmt: skip
        options = {"legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    elif panel.kind == "stat":
        options = {"colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
                   "wideLayout": True, "showPercentChange": False, "percentChangeColorMode": "standard",
                   "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}  # fmt: skip
    else:
        columns = table_columns(panel)
        overrides, made["transformations"] = columns["overrides"], columns["transformations"]
        options = {"showHeader": True, "cellHeight": "sm", "frameIndex": 0}
    defaults = {"unit": panel.unit, "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"}, "custom": custom,
                "mappings": [], "thresholds": thresholds(panel)}  # fmt: skip
    if panel.unit != "s" and panel.kind == "timeseries":
        defaults["min"] = 0
    made["fieldConfig"] = {"defaults": defaults, "overrides": overrides}
    made["options"] = options
    return made


def panels_json(dashboard: Dashboard) -> list[dict]:
    made, y, number = [], 0, 1
    for title, panels in dashboard.rows:
        made.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y}})
        y, number, x, height = y + 1, number + 1, 0, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            made.append(panel_json(dashboard, panel, number, x, y))
            x, height, number = x + panel.width, max(height, panel.height), number + 1
        y += height
    return made


def dashboard_json(dashboard: Dashboard) -> dict:
    return {
        "uid": dashboard.uid, "title": dashboard.title, "description": dashboard.about, "tags": ["shmetrics"], "schemaVersion": SCHEMA_VERSION,
        "version": 1, "editable": False, "graphTooltip": 1, "timezone": "browser", "refresh": "30s", "time": {"from": "now-1h", "to": "now"},
        "timepicker": {}, "weekStart": "", "fiscalYearStartMonth": 0, "liveNow": False, "links": [], "annotations": {"list": []},
        "templating": {"list": variables(dashboard)}, "panels": panels_json(dashboard),
    }  # fmt: skip


def main() -> int:
    stale = []
    for name, dashboard in FILES.items():
        written = json.dumps(dashboard_json(dashboard), indent=2) + "\n"
        path = HERE / name
        if "--check" in sys.argv[1:]:
            stale += [name] if not path.exists() or path.read_text() != written else []
        else:
            path.write_text(written)
    for name in stale:
        print(f"packaging/grafana/{name} is not what dashboards.py writes; run packaging/grafana/dashboards.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
