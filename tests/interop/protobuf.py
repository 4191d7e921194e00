"""io.prometheus.client.MetricFamily for Google's protobuf runtime: the public schema of client_model, without a compiler."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "io.prometheus.client"
_TYPES = {"double": 1, "int64": 3, "uint64": 4, "int32": 5, "string": 9, "uint32": 13, "sint32": 17, "sint64": 18}
# Each field: number, name, type; `*` repeated.
_MESSAGES = {
    "LabelPair": [(1, "name", "string"), (2, "value", "string")],
    "Timestamp": [(1, "seconds", "int64"), (2, "nanos", "int32")],
    "Exemplar": [(1, "label", "*LabelPair"), (2, "value", "double"), (3, "timestamp", "Timestamp")],
    "Gauge": [(1, "value", "double")],
    "Counter": [(1, "value", "double"), (2, "exemplar", "Exemplar"), (3, "created_timestamp", "Timestamp")],
    "Quantile": [(1, "quantile", "double"), (2, "value", "double")],
    "Summary": [
        (1, "sample_count", "uint64"), (2, "sample_sum", "double"), (3, "quantile", "*Quantile"),
        (4, "created_timestamp", "Timestamp"),
    ],
    "Untyped": [(1, "value", "double")],
    "Bucket": [
        (1, "cumulative_count", "uint64"), (2, "upper_bound", "double"), (3, "exemplar", "Exemplar"),
        (4, "cumulative_count_float", "double"),
    ],
    "BucketSpan": [(1, "offset", "sint32"), (2, "length", "uint32")],
    "Histogram": [
        (1, "sample_count", "uint64"), (2, "sample_sum", "double"), (3, "bucket", "*Bucket"),
        (4, "sample_count_float", "double"), (5, "schema", "sint32"), (6, "zero_threshold", "double"),
        (7, "zero_count", "uint64"), (8, "zero_count_float", "double"), (9, "negative_span", "*BucketSpan"),
        (10, "negative_delta", "*sint64"), (11, "negative_count", "*double"), (12, "positive_span", "*BucketSpan"),
        (13, "positive_delta", "*sint64"), (14, "positive_count", "*double"), (15, "created_timestamp", "Timestamp"),
        (16, "exemplars", "*Exemplar"),
    ],
    "Metric": [
        (1, "label", "*LabelPair"), (2, "gauge", "Gauge"), (3, "counter", "Counter"), (4, "summary", "Summary"),
        (5, "untyped", "Untyped"), (6, "timestamp_ms", "int64"), (7, "histogram", "Histogram"),
    ],
    "MetricFamily": [
        (1, "name", "string"), (2, "help", "string"), (3, "type", "MetricType"), (4, "metric", "*Metric"),
        (5, "unit", "string"),
    ],
}  # fmt: skip
TYPES = ("counter", "gauge", "summary", "untyped", "histogram", "gauge_histogram")


def _message_class() -> type:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package=PACKAGE, syntax="proto2")
    kinds = file.enum_type.add(name="MetricType")
    for number, name in enumerate(TYPES):
        kinds.value.add(name=name.upper(), number=number)
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for number, name, kind in fields:
            field = made.field.add(name=name, number=number, label=3 if kind[0] == "*" else 1)
            kind = kind.removeprefix("*")
            if kind in _TYPES:
                field.type = _TYPES[kind]
            else:
                field.type = 14 if kind == "MetricType" else 11
                field.type_name = f".{PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.MetricFamily"))


MetricFamily = _message_class()


def families(page: bytes) -> Iterator:
    """The messages of a page. A ValueError: it is none."""
    at = 0
    while at < len(page):
        length = shift = 0
        while True:
            if at == len(page):
                raise ValueError("the page ends in a length")
            byte, at = page[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        message = page[at : at + length]
        if len(message) < length:
            raise ValueError("the page ends in a message")
        family = MetricFamily()
        try:
            family.ParseFromString(message)
        except Exception as error:  # the runtime's own
            raise ValueError(str(error)) from error
        if family._unknown_fields if hasattr(family, "_unknown_fields") else ():
            raise ValueError("a field that the schema does not have")
        at += length
        yield family
