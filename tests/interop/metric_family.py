"""`io.prometheus.client.MetricFamily` for Google's protobuf runtime: the public schema (prometheus/client_model), as a descriptor.

Only tests need it, so there is neither a .proto file nor a compiler. Native histograms' fields are there, so that a page that has
them is not one with unknown fields.
"""

from __future__ import annotations

import io

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, proto, timestamp_pb2, unknown_fields

TYPES = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")
CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_PACKAGE = "io.prometheus.client"
_TIME = "google.protobuf.Timestamp"
# A field: its number and type. A type in brackets is repeated.
_MESSAGES = {
    "LabelPair": {"name": (1, "string"), "value": (2, "string")},
    "Gauge": {"value": (1, "double")},
    "Counter": {"value": (1, "double"), "exemplar": (2, "Exemplar"), "created_timestamp": (3, _TIME)},
    "Quantile": {"quantile": (1, "double"), "value": (2, "double")},
    "Summary": {
        "sample_count": (1, "uint64"), "sample_sum": (2, "double"), "quantile": (3, "[Quantile]"),
        "created_timestamp": (4, _TIME),
    },
    "Untyped": {"value": (1, "double")},
    "Histogram": {
        "sample_count": (1, "uint64"), "sample_count_float": (4, "double"), "sample_sum": (2, "double"),
        "bucket": (3, "[Bucket]"), "created_timestamp": (15, _TIME), "schema": (5, "sint32"),
        "zero_threshold": (6, "double"), "zero_count": (7, "uint64"), "zero_count_float": (8, "double"),
        "negative_span": (9, "[BucketSpan]"), "negative_delta": (10, "[sint64]"), "negative_count": (11, "[double]"),
        "positive_span": (12, "[BucketSpan]"), "positive_delta": (13, "[sint64]"), "positive_count": (14, "[double]"),
        "exemplars": (16, "[Exemplar]"),
    },
    "Bucket": {
        "cumulative_count": (1, "uint64"), "cumulative_count_float": (4, "double"), "upper_bound": (2, "double"),
        "exemplar": (3, "Exemplar"),
    },
    "BucketSpan": {"offset": (1, "sint32"), "length": (2, "uint32")},
    "Exemplar": {"label": (1, "[LabelPair]"), "value": (2, "double"), "timestamp": (3, _TIME)},
    "Metric": {
        "label": (1, "[LabelPair]"), "gauge": (2, "Gauge"), "counter": (3, "Counter"), "summary": (4, "Summary"),
        "untyped": (5, "Untyped"), "histogram": (7, "Histogram"), "timestamp_ms": (6, "int64"),
    },
    "MetricFamily": {
        "name": (1, "string"), "help": (2, "string"), "type": (3, "MetricType"), "metric": (4, "[Metric]"),
        "unit": (5, "string"),
    },
}  # fmt: skip


def _file() -> descriptor_pb2.FileDescriptorProto:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package=_PACKAGE, syntax="proto2")
    file.dependency.append("google/protobuf/timestamp.proto")
    types = file.enum_type.add(name="MetricType")
    for number, name in enumerate(TYPES):
        types.value.add(name=name, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = kinds.LABEL_REPEATED if kind[0] == "[" else kinds.LABEL_OPTIONAL
            kind = kind.strip("[]")
            added = message.field.add(name=field, number=number, label=label)
            if kind[0].islower() and "." not in kind:
                added.type = getattr(kinds, f"TYPE_{kind.upper()}")
            else:
                added.type = kinds.TYPE_ENUM if kind == "MetricType" else kinds.TYPE_MESSAGE
                added.type_name = f".{kind}" if "." in kind else f".{_PACKAGE}.{kind}"
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
_pool.Add(_file()) if hasattr(_pool, "Add") else _pool.AddSerializedFile(_file().SerializeToString())
MetricFamily = message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.MetricFamily"))


def _reject_odd(message) -> None:
    """Fields that the schema does not have, and text that is not UTF-8, which the runtime gives as bytes."""
    if len(unknown_fields.UnknownFieldSet(message)):
        raise ValueError(f"a {message.DESCRIPTOR.name} has fields that there are not")
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING and isinstance(value, bytes):
            raise ValueError(f"the {field.name} of a {message.DESCRIPTOR.name} is {value!r}")
        if field.message_type:
            for part in value if field.is_repeated else (value,):
                _reject_odd(part)


def parse(page: bytes) -> list:
    """The families of a delimited page."""
    stream, families = io.BytesIO(page), []
    while stream.tell() < len(page):
        try:
            family = proto.parse_length_prefixed(MetricFamily, stream)
        except Exception as error:  # of several kinds, by the runtime's version
            raise ValueError(f"at byte {stream.tell()}: {error}") from error
        if family is None:
            raise ValueError("the page ends early")
        _reject_odd(family)
        families.append(family)
    return families


def serialize(families: list) -> bytes:
    page = io.BytesIO()
    for family in families:
        proto.serialize_length_prefixed(family, page)
    return page.getvalue()
