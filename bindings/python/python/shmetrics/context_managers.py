"""What metrics' methods return. Metrics make them: they cannot be made by hand."""

from ._native import ExceptionCounter, Timer
from ._native import InProgress as InprogressTracker

__all__ = ["ExceptionCounter", "InprogressTracker", "Timer"]
