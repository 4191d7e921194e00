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

# what is wrong: the page, and the checkers that must reject it
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

OPENMETRICS_GOOD = """\
# TYPE requests counter
# HELP requests Requests \\"served\\".
requests_total{path="/"} 3
requests_created{path="/"} 1520430000.123
requests_total{path="/a b"} 4.5
requests_created{path="/a b"} 1520430000.123
# TYPE depth gauge
depth 2.5
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
# HELP latency_seconds Time taken.
latency_seconds_bucket{le="0.5"} 1
latency_seconds_bucket{le="1.0"} 2
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 4.25
latency_seconds_count 3
latency_seconds_created 1520430000.123
# TYPE age gaugehistogram
age_bucket{le="1.0"} 1
age_bucket{le="+Inf"} 2
age_gsum 5.5
age_gcount 2
# TYPE build info
build_info{version="1.2"} 1
# TYPE breaker stateset
breaker{breaker="closed"} 0
breaker{breaker="open"} 1
# TYPE imported unknown
imported 1e+100
# EOF
"""
PARSERS = {"prometheus_client", "openmetrics-parser"}
ALL = PARSERS | {"grammar"}


def _om(line: str, instead: str) -> str:
    assert OPENMETRICS_GOOD.count(line) == 1, line
    return OPENMETRICS_GOOD.replace(line, instead)


# what is wrong: the page, and which checkers reject it. "model": the page has other samples than
# the right one.
BROKEN_OPENMETRICS: dict[str, tuple[str, set[str]]] = {
    "no end": (_om("# EOF\n", ""), ALL),
    "something after the end": (OPENMETRICS_GOOD + "late 1\n", ALL),
    "an empty line": (_om("# TYPE depth", "\n# TYPE depth"), ALL),
    "a comment": (_om("# TYPE depth", "# Of the queue.\n# TYPE depth"), ALL),
    "two spaces": (_om("depth 2.5", "depth  2.5"), ALL),
    "a space at a line's end": (_om("depth 2.5", "depth 2.5 "), ALL),
    "a carriage return": (_om("depth gauge", "depth gauge\r"), {"prometheus_client", "grammar"}),
    "no number": (_om("2.5\n", "2,5\n"), ALL),
    "a hexadecimal number": (_om("depth 2.5", "depth 0x2"), ALL),
    "an unescaped quote": (_om("/a b\"} 4.5", '/a"b"} 4.5'), ALL),
    "a label twice": (_om('build_info{version="1.2"}', 'build_info{version="1.2",version="1.2"}'), PARSERS),
    "an unknown type": (_om("depth gauge", "depth untyped"), ALL),
    "a counter without _total": (_om("requests_total{path=\"/\"} 3", 'requests{path="/"} 3'), PARSERS),
    "a family with its suffix": (_om("# TYPE requests counter", "# TYPE requests_total counter"), PARSERS),
    "a second TYPE": (_om("# UNIT lat", "# TYPE latency_seconds histogram\n# UNIT lat"), PARSERS),
    "a second HELP": (_om("depth 2.5", "# HELP depth A.\n# HELP depth B.\ndepth 2.5"), PARSERS),
    "HELP after samples": (_om("depth 2.5\n", "depth 2.5\n# HELP depth A.\n"), PARSERS),
    "a unit that is not in the name": (_om("UNIT latency_seconds seconds", "UNIT latency_seconds bytes"), {"prometheus_client", "model"}),
    "a unit of an info": (_om("# TYPE build info", "# TYPE build info\n# UNIT build build"), {"prometheus_client"}),
    "starts at the family's end": (
        OPENMETRICS_GOOD.replace('requests_created{path="/"} 1520430000.123\n', "", 1).replace(
            "# TYPE depth", 'requests_created{path="/"} 1520430000.123\n# TYPE depth'
        ),
        {"prometheus_client"},
    ),
    "a family in two places": (_om("# TYPE build", "depth{a=\"b\"} 1\n# TYPE build"), PARSERS),
    "a family twice": (_om("# TYPE build", "# TYPE depth gauge\n# TYPE build"), {"prometheus_client"}),
    "names that clash": (_om("# TYPE build", "# TYPE requests_total gauge\nrequests_total 1\n# TYPE build"), {"prometheus_client"}),
    "a series twice, with another between": (
        _om('requests_total{path="/a b"} 4.5\n', 'requests_total{path="/a b"} 4.5\nrequests_total{path="/"} 3\n'),
        PARSERS,
    ),
    "a negative counter": (_om("path=\"/\"} 3", 'path="/"} -3'), PARSERS),
    "a counter that is no number": (_om("path=\"/\"} 3", 'path="/"} NaN'), PARSERS),
    "half an observation": (_om('latency_seconds_bucket{le="0.5"} 1', 'latency_seconds_bucket{le="0.5"} 0.5'), {"prometheus_client"}),
    "no last bucket": (_om('latency_seconds_bucket{le="+Inf"} 3\n', ""), PARSERS),
    "a last bucket that is not the count": (_om('latency_seconds_bucket{le="+Inf"} 3', 'latency_seconds_bucket{le="+Inf"} 4'), {"prometheus_client"}),
    "a falling bucket": (_om('latency_seconds_bucket{le="0.5"} 1', 'latency_seconds_bucket{le="0.5"} 9'), {"prometheus_client"}),
    "bounds that are not in order": (_om('_bucket{le="0.5"} 1', '_bucket{le="1.5"} 1'), {"prometheus_client"}),
    "a count without a sum": (_om("latency_seconds_sum 4.25\n", ""), PARSERS),
    "a sum with negative bounds": (_om('_bucket{le="0.5"} 1', '_bucket{le="-0.5"} 1'), PARSERS),
    "an info that is not 1": (_om('version="1.2"} 1', 'version="1.2"} 2'), PARSERS),
    "a state that is neither on nor off": (_om('breaker="open"} 1', 'breaker="open"} 2'), PARSERS),
    "a state without its label": (_om('breaker{breaker="open"} 1', 'breaker{state="open"} 1'), PARSERS),
    "an exemplar of a gauge": (_om("depth 2.5", 'depth 2.5 # {a="b"} 1.0'), PARSERS),
    "an exemplar that is too long": (_om("path=\"/\"} 3", 'path="/"} 3 # {a="%s"} 1.0' % ("b" * 128)), {"prometheus_client"}),
    "a number that is off by one bit": (_om("depth 2.5", "depth 2.5000000000000004"), {"model"}),
    "another type": (_om("imported unknown", "imported gauge"), {"model"}),
    "another help": (_om("Time taken.", "Time given."), {"model"}),
    "a start missing": (_om("latency_seconds_created 1520430000.123\n", ""), {"model"}),
    "a series missing": (_om('breaker{breaker="closed"} 0\n', ""), {"model"}),
}  # fmt: skip

OPENMETRICS2_GOOD = """\
# TYPE requests_total counter
# HELP requests_total Requests \\"served\\".
requests_total{path="/"} 3 st@1520430000.123
requests_total{path="/a b"} 4.5 st@1520430000.123
# TYPE depth gauge
depth 2.5
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
# HELP latency_seconds Time taken.
latency_seconds{a="b"} {count:3,sum:4.25,bucket:[0.5:1,1.0:2,+Inf:3]} st@1520430000.123
# TYPE size summary
size {count:1,sum:512.0,quantile:[]} st@1520430000.123
# TYPE age gaugehistogram
age {gcount:2,gsum:5.5,bucket:[1.0:1,+Inf:2]}
# TYPE build_info info
build_info{version="1.2"} 1
# TYPE breaker stateset
breaker{breaker="closed"} 0
breaker{breaker="open"} 1
# EOF
"""


def _om2(line: str, instead: str) -> str:
    assert OPENMETRICS2_GOOD.count(line) == 1, line
    return OPENMETRICS2_GOOD.replace(line, instead)


BOTH = {"reader", "grammar"}
BROKEN_OPENMETRICS2: dict[str, tuple[str, set[str]]] = {
    "no end": (_om2("# EOF\n", ""), BOTH),
    "an empty line": (_om2("# TYPE depth", "\n# TYPE depth"), BOTH),
    "two spaces": (_om2("depth 2.5", "depth  2.5"), BOTH),
    "a space in a histogram": (_om2("count:3,sum:4.25", "count:3, sum:4.25"), BOTH),
    "fields in another order": (_om2("{count:3,sum:4.25,", "{sum:4.25,count:3,"), BOTH),
    "no last bucket": (_om2(",+Inf:3", ""), BOTH),
    "no sum": (_om2("count:3,sum:4.25", "count:3"), BOTH),
    "half an observation": (_om2("0.5:1,", "0.5:0.5,"), BOTH),
    "a start before the value": (_om2('path="/"} 3 st@1520430000.123', 'path="/"} st@1520430000.123 3'), BOTH),
    "a start in milliseconds": (_om2('path="/"} 3 st@1520430000.123', 'path="/"} 3 st@1.520430000e12'), BOTH),
    "a start in capitals": (_om2('path="/"} 3 st@', 'path="/"} 3 ST@'), BOTH),
    "an unescaped quote": (_om2("/a b", '/a"b'), BOTH),
    "an escape that there is not": (_om2("/a b", "/a\\tb"), BOTH),
    "a summary without quantiles": (_om2(",quantile:[]", ""), BOTH),
    "a gauge histogram with a histogram's fields": (_om2("gcount:2,gsum", "count:2,sum"), {"reader"}),
    "a start of a gauge": (_om2("depth 2.5", "depth 2.5 st@1520430000.123"), {"reader"}),
    "a last bucket that is not the count": (_om2("+Inf:3", "+Inf:4"), {"reader"}),
    "a falling bucket": (_om2("0.5:1,", "0.5:3,"), {"reader"}),
    "bounds that are not in order": (_om2("0.5:1,", "1.5:1,"), {"reader"}),
    "a bound that is not canonical": (_om2("0.5:1,", "5e-01:1,"), {"reader"}),
    "an info without its suffix": (OPENMETRICS2_GOOD.replace("build_info", "build"), {"reader"}),
    "a suffix of a histogram": (_om2('latency_seconds{a="b"} {', 'latency_seconds_bucket{a="b"} {'), {"reader"}),
    "a family without its suffix": (_om2("TYPE requests_total", "TYPE requests"), {"reader"}),
    "a series twice": (_om2("depth 2.5\n", "depth 2.5\ndepth 2.5\n"), {"reader"}),
    "a family twice": (_om2("# TYPE build", "# TYPE depth gauge\n# TYPE build"), {"reader"}),
    "a label twice": (_om2('{version="1.2"}', '{version="1.2",version="1.2"}'), {"reader"}),
    "a negative counter": (_om2('path="/"} 3', 'path="/"} -3'), {"reader"}),
    "a state that is neither on nor off": (_om2('breaker="open"} 1', 'breaker="open"} 2'), {"reader"}),
    "HELP before UNIT": (
        _om2("# UNIT latency_seconds seconds\n# HELP latency_seconds Time taken.\n",
             "# HELP latency_seconds Time taken.\n# UNIT latency_seconds seconds\n"),
        {"reader"},
    ),
}  # fmt: skip
