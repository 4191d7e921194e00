"""Pages pushed to a Pushgateway, with the functions and handlers of prometheus_client."""

from __future__ import annotations

import base64
import gzip
import socket
import ssl
from contextlib import closing
from typing import Any, Callable, Dict, List, Literal, Optional, Sequence, Tuple, Union
from urllib.error import HTTPError
from urllib.parse import quote_plus, urlparse
from urllib.request import BaseHandler, HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from ._page import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from .registry import REGISTRY

CompressionType = Optional[Literal["gzip", "snappy"]]
Headers = List[Tuple[str, str]]


class _Redirects(HTTPRedirectHandler):
    """Follows redirects with the same method and body. The standard library leaves that to
    applications.
    """

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request:
        method = req.get_method()
        allowed = (301, 302, 303, 307) if method in ("GET", "HEAD") else (301, 302, 303) if method in ("POST", "PUT") else ()
        if code not in allowed:
            raise HTTPError(req.full_url, code, msg, headers, fp)
        where = newurl.replace(" ", "%20")
        return Request(where, req.data, req.headers, req.origin_req_host, req.unverifiable, method=method)


def _handler(
    url: str,
    method: str,
    timeout: Optional[float],
    headers: Sequence[Tuple[str, str]],
    data: bytes,
    by: Union[BaseHandler, type],
) -> Callable[[], None]:
    def handle() -> None:
        request = Request(url, data=data, method=method)
        for name, value in headers:
            request.add_header(name, value)
        with closing(build_opener(by).open(request, timeout=timeout)) as answer:
            if answer.code >= 400:
                raise OSError("error talking to pushgateway: %s %s" % (answer.code, answer.msg))

    return handle


def default_handler(url: str, method: str, timeout: Optional[float], headers: Headers, data: bytes) -> Callable[[], None]:
    """Sends over HTTP or HTTPS. Handlers of an application may call it."""
    return _handler(url, method, timeout, headers, data, HTTPHandler)


def passthrough_redirect_handler(
    url: str, method: str, timeout: Optional[float], headers: Headers, data: bytes
) -> Callable[[], None]:
    """As ``default_handler``, and sends the whole request to the target of a redirect. Only for
    gateways that are trusted.
    """
    return _handler(url, method, timeout, headers, data, _Redirects)


def basic_auth_handler(
    url: str,
    method: str,
    timeout: Optional[float],
    headers: Headers,
    data: bytes,
    username: Optional[str] = None,
    password: Optional[str] = None,
) -> Callable[[], None]:
    """As ``default_handler``, with a name and a password."""

    def handle() -> None:
        more = list(headers)
        if username is not None and password is not None:
            token = base64.b64encode(("%s:%s" % (username, password)).encode()).decode("ascii")
            more.append(("Authorization", "Basic " + token))
        default_handler(url, method, timeout, more, data)()

    return handle


def tls_auth_handler(
    url: str,
    method: str,
    timeout: Optional[float],
    headers: Headers,
    data: bytes,
    certfile: str,
    keyfile: str,
    cafile: Optional[str] = None,
    protocol: int = ssl.PROTOCOL_TLS_CLIENT,
    insecure_skip_verify: bool = False,
) -> Callable[[], None]:
    """As ``default_handler``, with a client certificate."""
    context = ssl.SSLContext(protocol=protocol)
    if cafile is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile)
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certfile=certfile, keyfile=keyfile)
    return _handler(url, method, timeout, headers, data, HTTPSHandler(context=context))


def push_to_gateway(
    gateway: str,
    job: str,
    registry: Any,
    grouping_key: Optional[Dict[str, Any]] = None,
    timeout: Optional[float] = 30,
    handler: Callable[..., Any] = default_handler,
    compression: CompressionType = None,
) -> None:
    """Pushes the page, in the place of all that the gateway has of this job and grouping key (PUT).

    ``gateway`` is ``host:port`` or a URL, ``timeout`` in seconds, ``handler`` a function that is
    called with url, method, timeout, headers and data and returns one that sends.
    """
    _push("PUT", gateway, job, registry, grouping_key, timeout, handler, compression)


def pushadd_to_gateway(
    gateway: str,
    job: str,
    registry: Any,
    grouping_key: Optional[Dict[str, Any]] = None,
    timeout: Optional[float] = 30,
    handler: Callable[..., Any] = default_handler,
    compression: CompressionType = None,
) -> None:
    """Pushes the page, in the place of metrics of the same names, job and grouping key (POST).
    Otherwise as ``push_to_gateway``.
    """
    _push("POST", gateway, job, registry, grouping_key, timeout, handler, compression)


def delete_from_gateway(
    gateway: str,
    job: str,
    grouping_key: Optional[Dict[str, Any]] = None,
    timeout: Optional[float] = 30,
    handler: Callable[..., Any] = default_handler,
) -> None:
    """Deletes all that the gateway has of this job and grouping key."""
    headers = [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]
    handler(url=_url(gateway, job, grouping_key), method="DELETE", timeout=timeout, headers=headers, data=b"")()


def _push(
    method: str,
    gateway: str,
    job: str,
    registry: Any,
    grouping_key: Optional[Dict[str, Any]],
    timeout: Optional[float],
    handler: Callable[..., Any],
    compression: CompressionType,
) -> None:
    page = generate_latest(REGISTRY if registry is None else registry)
    data, headers = _compressed(page, compression)
    handler(url=_url(gateway, job, grouping_key), method=method, timeout=timeout, headers=headers, data=data)()


def _url(gateway: str, job: str, grouping_key: Optional[Dict[str, Any]]) -> str:
    if urlparse(gateway).scheme not in ("http", "https"):
        gateway = "http://" + gateway
    labels = [("job", job), *sorted((str(k), str(v)) for k, v in (grouping_key or {}).items())]
    return gateway.rstrip("/") + "/metrics" + "".join("/%s/%s" % _part(name, value) for name, value in labels)


def _part(name: str, value: str) -> "Tuple[str, str]":
    """A label in the path. Values that a path cannot contain are in base64."""
    if not value:
        return name + "@base64", "="
    if "/" in value or " " in value:
        return name + "@base64", base64.urlsafe_b64encode(value.encode()).decode("ascii")
    return name, quote_plus(value)


def _compressed(page: bytes, compression: CompressionType) -> "Tuple[bytes, Headers]":
    headers = [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]
    if compression is None:
        return page, headers
    encoding = compression.lower()
    if encoding == "gzip":
        data = gzip.compress(page)
    elif encoding == "snappy":
        try:
            import snappy
        except ImportError:
            raise RuntimeError("Snappy compression requires the python-snappy package to be installed.") from None
        compressor = snappy.StreamCompressor()
        data = compressor.compress(page)
        if callable(getattr(compressor, "flush", None)):
            data += compressor.flush()
    else:
        raise ValueError("Unsupported compression type: %s" % compression)
    return data, [*headers, ("Content-Encoding", encoding)]


def instance_ip_grouping_key() -> "Dict[str, Any]":
    """A grouping key with this host's address."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.connect(("localhost", 0))
        return {"instance": probe.getsockname()[0]}
