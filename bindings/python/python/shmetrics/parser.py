"""The parser of Prometheus' text format, which is prometheus_client's: this module needs that
package.
"""

from typing import Any

from ._prometheus_client import import_names

text_fd_to_metric_families, text_string_to_metric_families = import_names(
    "prometheus_client.parser", "text_fd_to_metric_families", "text_string_to_metric_families"
)

__all__ = ["text_fd_to_metric_families", "text_string_to_metric_families"]


def __getattr__(name: str) -> Any:
    return import_names("prometheus_client.parser", name)[0]
