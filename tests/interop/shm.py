"""A thin ctypes binding of the C ABI, include/shmetrics.h, against target/release/libshmetrics.so."""

from __future__ import annotations

import ctypes
import os
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_bool,
    c_char_p,
    c_double,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
RELEASE = Path(os.environ.get("RELEASE_DIR", TARGET / "release"))

OPEN_OR_CREATE, CREATE_NEW, ATTACH, ANONYMOUS = range(4)
GAUGE_MODES = (
    "shared", "all", "liveall", "sum", "livesum", "min", "livemin", "max", "livemax", "mostrecent", "livemostrecent",
)  # fmt: skip
FORMATS = ("text", "text1", "openmetrics", "openmetrics2", "protobuf")
ESCAPINGS = ("default", "underscores", "dots", "values", "allow-utf-8")
STATUS_BUFFER_TOO_SMALL = 17


class Str(Structure):
    _fields_ = [("data", c_char_p), ("len", c_size_t)]


class Label(Structure):
    _fields_ = [("name", Str), ("value", Str)]


class Exposition(Structure):
    _fields_ = [("format", c_uint32), ("escaping", c_uint32), ("created", c_bool)]

    @property
    def content_type(self) -> str:
        return lib.shmetrics_exposition_content_type(self).decode()


TEXT = Exposition()


def exposition(format: str, *, created: bool = False, escaping: str = "default") -> Exposition:
    return Exposition(FORMATS.index(format), ESCAPINGS.index(escaping), created)


def negotiate(accept: str) -> Exposition:
    return lib.shmetrics_negotiate(text(accept))


class Options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", Str),
        ("open_mode", c_uint32),
        ("mode", c_uint32),
        ("max_size", c_uint64),
        ("max_series", c_uint64),
        ("max_processes", c_uint32),
        ("allow_disk", c_uint32),
        ("reset_if_unused", c_uint32),
        ("reserved", c_uint32),
        ("labels", POINTER(Label)),
        ("label_count", c_size_t),
    ]


class FamilySpec(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", Str),
        ("help", Str),
        ("unit", Str),
        ("label_names", POINTER(Str)),
        ("label_count", c_size_t),
        ("buckets", POINTER(c_double)),
        ("bucket_count", c_size_t),
        ("states", POINTER(Str)),
        ("state_count", c_size_t),
        ("max_series", c_uint64),
        ("expire_after_seconds", c_double),
        ("exemplar_interval_seconds", c_double),
        ("quantiles", POINTER(c_double)),
        ("quantile_count", c_size_t),
        ("native_factor", c_double),
        ("native_zero_threshold", c_double),
        ("native_max_buckets", c_uint32),
        ("exact_name", c_bool),
        ("replace", c_bool),
        ("quantile_max_age_seconds", c_double),
    ]


class Handle(Structure):
    """Of a family, and of a metric other than a histogram."""

    _fields_ = [("p0", c_void_p), ("p1", c_void_p)]


class HistogramHandle(Structure):
    _fields_ = [("p0", c_void_p), ("p1", c_void_p), ("p2", c_void_p)]


class Kind:
    """The calls for a kind of metric: `shmetrics_{series}_with`, and each verb with its arguments."""

    def __init__(self, series: str, handle: object, **verbs: tuple[str, list]) -> None:
        self.series, self.handle, self.verbs = series, handle, verbs


_GAUGE_VERBS = {
    "set": ("gauge_set", [c_double]),
    "add": ("gauge_add", [c_double]),
    "inc": ("gauge_inc", []),
    "dec": ("gauge_dec", []),
    "set_to_now": ("gauge_set_to_now", []),
}
_OBSERVE = ("histogram_observe", [c_double])
KINDS = {
    "counter": Kind(
        "counter", Handle, inc=("counter_inc", []), add=("counter_add", [c_double]), add_u64=("counter_add_u64", [c_uint64])
    ),
    "gauge": Kind("gauge", Handle, **_GAUGE_VERBS),
    "unknown": Kind("gauge", Handle, **_GAUGE_VERBS),
    "histogram": Kind("histogram", HistogramHandle, observe=_OBSERVE),
    "gauge_histogram": Kind(
        "histogram", HistogramHandle, observe=_OBSERVE, forget=("histogram_unobserve", [c_double])
    ),
    "summary": Kind("summary", HistogramHandle, observe=_OBSERVE),
    "info": Kind("info", c_bool),
    "state_set": Kind("states", Handle, set=("state_set_set", [c_size_t, c_bool])),
    "enum": Kind("states", Handle, set=("enum_set", [c_size_t])),
}  # fmt: skip


def _load() -> ctypes.CDLL:
    lib = ctypes.CDLL(str(RELEASE / "libshmetrics.so"))

    def declare(name: str, result: object, *arguments: object) -> None:
        function = getattr(lib, f"shmetrics_{name}")
        function.restype, function.argtypes = result, arguments

    declare("status_message", c_char_p, c_uint32)
    declare("last_error", c_size_t, c_char_p, c_size_t)
    declare("content_type", c_char_p)
    declare("version", c_char_p)
    declare("options_init", None, POINTER(Options))
    declare("segment_open", c_uint32, POINTER(Options), POINTER(c_void_p))
    declare("segment_remove", c_uint32, Str)
    declare("segment_set_identity", c_uint32, c_void_p, c_uint32)
    declare("reader_open", c_uint32, Str, POINTER(c_void_p))
    declare("reader_free", None, c_void_p)
    for source in ("segment", "reader"):
        declare(f"{source}_render", c_uint32, c_void_p, c_char_p, c_size_t, POINTER(c_size_t))
        declare(f"{source}_cursor", c_uint32, c_void_p, POINTER(c_void_p))
    declare("cursor_read", c_size_t, c_void_p, c_char_p, c_size_t)
    declare("cursor_free", None, c_void_p)
    declare("negotiate", Exposition, Str)
    declare("accepts_gzip", c_bool, Str)
    declare("exposition_content_type", c_char_p, Exposition)
    declare("cursor_set_exposition", c_uint32, c_void_p, Exposition)
    declare("cursor_add_filter", c_uint32, c_void_p, Str)
    for name, kind in KINDS.items():
        mode = [c_uint32] if name == "gauge" else []
        declare(f"{name}_register", c_uint32, c_void_p, POINTER(FamilySpec), *mode, POINTER(Handle))
        declare(f"{kind.series}_with", kind.handle, Handle, POINTER(Str), c_size_t)
        declare(f"{kind.series}_remove", c_bool, Handle, POINTER(Str), c_size_t)
        for call, arguments in kind.verbs.values():
            declare(call, None, kind.handle, *arguments)
    declare("counter_value", c_double, Handle)
    declare("histogram_observe_with_exemplar", None, HistogramHandle, c_double, POINTER(Label), c_size_t)
    return lib


lib = _load()


class Error(Exception):
    """A call failed; the text is the library's."""


def check(status: int) -> None:
    if status:
        why = ctypes.create_string_buffer(1024)
        lib.shmetrics_last_error(why, len(why))
        raise Error(f"{lib.shmetrics_status_message(status).decode()}: {why.value.decode()}")


def text(value: str | bytes) -> Str:
    data = value.encode() if isinstance(value, str) else value
    return Str(data, len(data))


def texts(values: list[str | bytes] | tuple[str | bytes, ...]) -> ctypes.Array[Str]:
    return (Str * len(values))(*map(text, values))


class Series:
    """A metric: its verbs are those of the C ABI, as in `series.update("inc")`."""

    def __init__(self, kind: str, handle: Handle | HistogramHandle) -> None:
        self._kind, self.handle = kind, handle

    def update(self, verb: str, *arguments: float) -> None:
        if verb not in KINDS[self._kind].verbs:
            raise AttributeError(f"a {self._kind} has no {verb}")
        getattr(lib, f"shmetrics_{KINDS[self._kind].verbs[verb][0]}")(self.handle, *arguments)

    def observe_with_exemplar(self, value: float, name: str, text_of: str) -> None:
        label = Label(text(name), text(text_of))
        lib.shmetrics_histogram_observe_with_exemplar(self.handle, value, byref(label), 1)


class Family:
    def __init__(self, kind: str, handle: Handle) -> None:
        self.kind, self._handle = kind, handle
        self._with = getattr(lib, f"shmetrics_{KINDS[kind].series}_with")
        self._remove = getattr(lib, f"shmetrics_{KINDS[kind].series}_remove")

    def with_(self, *values: str | bytes) -> Series:
        return Series(self.kind, self._with(self._handle, texts(values), len(values)))

    def remove(self, *values: str | bytes) -> bool:
        return self._remove(self._handle, texts(values), len(values))


class Pages:
    """What segments and readers have in common: they render."""

    kind: str
    pointer: c_void_p

    def render(self) -> bytes:
        size = c_size_t(1 << 16)
        while True:
            buffer = ctypes.create_string_buffer(size.value + 4096)
            status = getattr(lib, f"shmetrics_{self.kind}_render")(self.pointer, buffer, len(buffer), byref(size))
            if status != STATUS_BUFFER_TOO_SMALL:
                check(status)
                return buffer.raw[: size.value]

    def render_in_pieces(self, capacity: int) -> bytes:
        return self.page(TEXT, capacity=capacity)

    def page(self, how: Exposition, *, only: tuple[str, ...] = (), capacity: int = 1 << 16) -> bytes:
        """Of the families with these samples only, if any are given."""
        cursor, buffer, page = c_void_p(), ctypes.create_string_buffer(capacity), bytearray()
        check(getattr(lib, f"shmetrics_{self.kind}_cursor")(self.pointer, byref(cursor)))
        try:
            check(lib.shmetrics_cursor_set_exposition(cursor, how))
            for name in only:
                check(lib.shmetrics_cursor_add_filter(cursor, text(name)))
            while n := lib.shmetrics_cursor_read(cursor, buffer, capacity):
                page += buffer.raw[:n]
        finally:
            lib.shmetrics_cursor_free(cursor)
        return bytes(page)


class Segment(Pages):
    kind = "segment"

    def __init__(
        self, name: str = "", how: int = OPEN_OR_CREATE, labels: tuple[tuple[str, str], ...] = (), **settings: int
    ) -> None:
        options, self.pointer = Options(), c_void_p()
        lib.shmetrics_options_init(byref(options))
        options.name, options.open_mode = text(name), how
        pairs = [Label(text(name), text(value)) for name, value in labels]
        options.labels, options.label_count = (Label * len(pairs))(*pairs), len(pairs)
        for key, value in settings.items():
            setattr(options, key, value)
        check(lib.shmetrics_segment_open(byref(options), byref(self.pointer)))

    def set_identity(self, identity: int) -> None:
        check(lib.shmetrics_segment_set_identity(self.pointer, identity))

    def register(
        self, kind: str, name: str, help_text: str = "", labels: tuple[str, ...] = (), *, unit: str = "",
        mode: str = "shared", buckets: tuple[float, ...] | None = None, max_series: int = 0,
        states: tuple[str, ...] = (), factor: float = 0.0, zero: float = 0.0, most: int = 0,
        quantiles: tuple[float, ...] = (),
    ) -> Family:  # fmt: skip
        spec = FamilySpec(sizeof(FamilySpec), text(name), text(help_text), text(unit), texts(labels), len(labels))
        spec.max_series = max_series
        if buckets is not None:
            spec.buckets, spec.bucket_count = (c_double * max(1, len(buckets)))(*buckets), len(buckets)
        spec.native_factor, spec.native_zero_threshold, spec.native_max_buckets = factor, zero, most
        if quantiles:
            spec.quantiles, spec.quantile_count = (c_double * len(quantiles))(*quantiles), len(quantiles)
            # Longer than any test takes: the quantiles of the model do not age.
            spec.quantile_max_age_seconds = 86400
        if states:
            spec.states, spec.state_count = texts(states), len(states)
        arguments = [GAUGE_MODES.index(mode)] if kind == "gauge" else []
        handle = Handle()
        check(getattr(lib, f"shmetrics_{kind}_register")(self.pointer, byref(spec), *arguments, byref(handle)))
        return Family(kind, handle)


class Reader(Pages):
    kind = "reader"

    def __init__(self, name: str) -> None:
        self.pointer = c_void_p()
        check(lib.shmetrics_reader_open(text(name), byref(self.pointer)))

    def close(self) -> None:
        lib.shmetrics_reader_free(self.pointer)


def remove(name: str) -> None:
    check(lib.shmetrics_segment_remove(text(name)))
