"""The context managers that methods of metrics return. They have no public constructor."""

from ._native import ExceptionCounter, Timer
from ._native import InProgress as InprogressTracker

__all__ = ["ExceptionCounter", "InprogressTracker", "Timer"]
