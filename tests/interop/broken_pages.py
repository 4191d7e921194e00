"""Pages that are wrong, each in one way, and the checkers that must say so: one that cannot fail proves nothing."""

from __future__ import annotations

GOOD = """\
# HELP requests_total Requests served.
# TYPE requests_total counter
requests_total{path="/"} 3
requests_total{path="/a b"} 4
# HELP depth Jobs waiting.
# TYPE depth gauge
depth 2.5
# HELP latency_seconds Time taken.
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.5"} 1
latency_seconds_bucket{le="1.0"} 2
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 4.25
latency_seconds_count 3
"""


def _without(line: str) -> str:
    assert line in GOOD
    return GOOD.replace(line, "")


def _with(line: str, instead: str) -> str:
    assert line in GOOD
    return GOOD.replace(line, instead)


A, B = 'requests_total{path="/"} 3\n', 'requests_total{path="/a b"} 4\n'

# what is wrong: the page, and who must reject it
BROKEN: dict[str, tuple[str, set[str]]] = {
    "a series twice": (_with(A, A + A), {"model", "structure", "Pushgateway"}),
    "a series twice, with another value": (_with(B, B.replace("4", "5") + B), {"model", "structure", "Pushgateway"}),
    "a series and itself with an empty label": (
        _with("depth 2.5\n", 'depth 2.5\ndepth{x=""} 3\n'),
        {"model", "structure"},
    ),
    "a label twice": (_with('{path="/"}', '{path="/",path="/"}'), {"model", "structure", "promtool", "Pushgateway"}),
    "a family in two places": (_without(A) + A, {"structure"}),
    "a second TYPE": (_with(A, A + "# TYPE requests_total counter\n"), {"structure", "promtool", "Pushgateway"}),
    "a second HELP": (
        _with("# TYPE depth", "# HELP depth Again.\n# TYPE depth"),
        {"model", "structure", "promtool", "Pushgateway"},
    ),
    "a sample before its TYPE": (
        "early 1\n# TYPE early gauge\n" + GOOD,
        {"model", "structure", "promtool", "Pushgateway"},
    ),
    "an unknown type": (_with("depth gauge", "depth info"), {"model", "structure", "promtool", "Pushgateway"}),
    "an unescaped quote": (_with("/a b", '/a"b'), {"model", "structure", "promtool", "Pushgateway"}),
    "an escape that there is not": (_with("/a b", "/a\\tb"), {"model", "promtool", "Pushgateway"}),
    "a line feed in a label": (_with("/a b", "/a\nb"), {"model", "structure", "promtool", "Pushgateway"}),
    "a carriage return": (_with("depth gauge", "depth gauge\r"), {"structure", "promtool", "Pushgateway"}),
    "no line feed at the end": (GOOD.removesuffix("\n"), {"structure", "promtool", "Pushgateway"}),
    "no number": (_with("2.5", "2,5"), {"model", "structure", "promtool", "Pushgateway"}),
    "an infinity that not all can read": (_with("2.5", "inf"), {"model", "structure"}),
    "a timestamp": (_with("2.5", "2.5 1700000000000"), {"structure"}),
    "a negative counter": (_with(A, A.replace("3", "-3")), {"model", "structure"}),
    "no last bucket": (_without('latency_seconds_bucket{le="+Inf"} 3\n'), {"model", "structure"}),
    "a last bucket that is not the count": (_with('le="+Inf"} 3', 'le="+Inf"} 4'), {"model", "structure"}),
    "a falling bucket": (_with('le="0.5"} 1', 'le="0.5"} 9'), {"model", "structure"}),
    "a bound that is not in order": (_with('le="0.5"', 'le="1.5"'), {"model", "structure"}),
    "a number that is off by one": (_with(A, A.replace("3", "4")), {"model"}),
    "a number that is off by one bit": (_with("2.5", "2.5000000000000004"), {"model"}),
    "a label value that is not the model's": (_with("/a b", "/a  b"), {"model"}),
    "series in another order": (_with(A + B, B + A), {"model"}),
    "a series missing": (_without(B), {"model"}),
    "an invented series": (_with(B, B + B.replace("/a b", "/c")), {"model"}),
    "a name that is bad style": (_with("depth", "depth_milliseconds"), {"model", "promtool"}),
    "no counter by its name": (_with("requests_total", "requests"), {"promtool"}),
}
