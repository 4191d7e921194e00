"""Runs when Python starts: has prometheus_client's multiprocess mode count into shared memory.

It only waits for modules of prometheus_client; what happens then is in shmetrics._dropin. SHMETRICS_PYTHON=0 turns it off.
"""

import os
import sys

_MODULES = frozenset(
    "prometheus_client." + name for name in ("values", "metrics", "multiprocess", "exposition", "openmetrics.exposition")
)


def _tell(error):
    """Another Python's package, or a sub-interpreter. It ends no application, not even where warnings are errors."""
    import warnings

    try:
        warnings.warn("prometheus_client goes on without shmetrics: %s" % error, RuntimeWarning)
    except Warning:
        pass


class _Finder:
    """Comes before the other finders, has them find a module of these, and lets the module be patched once it has run."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _MODULES:
            return None
        for finder in sys.meta_path:
            if finder is not _Finder and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
        else:
            return None
        run = getattr(spec.loader, "exec_module", None)
        if run is not None:

            def exec_module(module):
                run(module)
                try:
                    from shmetrics import _dropin
                except Exception as error:
                    _tell(error)
                    return
                _dropin.patch(module)

            try:
                spec.loader.exec_module = exec_module
            except AttributeError:
                pass
        return spec


def install():
    if os.environ.get("SHMETRICS_PYTHON", "").lower() in ("0", "off", "false", "no"):
        return
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


# Both a line in a .pth file, which imports, and an entry point in a .start file, which calls, lead here.
install()
