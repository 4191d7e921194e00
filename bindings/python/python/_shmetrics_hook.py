"""Runs when Python starts: makes prometheus_client's multiprocess mode count into shared memory.

This module only waits for modules of prometheus_client. shmetrics._dropin patches them, and is
loaded only in processes that are in multiprocess mode. SHMETRICS_PYTHON=0 switches the hook off.

PYTEST_DONT_REWRITE: pytest would warn that this module was imported before pytest.
"""

import os
import sys

_MODULES = frozenset(
    "prometheus_client." + name for name in ("values", "metrics", "multiprocess", "exposition", "openmetrics.exposition")
)
#: Modules that were imported outside of multiprocess mode, and are not patched.
_passed = []


def _tell(error):
    """The package is another Python's, or this is a sub-interpreter. The warning ends no
    application, also if warnings are errors.
    """
    import warnings

    try:
        warnings.warn("prometheus_client goes on without shmetrics: %s" % error, RuntimeWarning)
    except Exception:
        pass


def _patch(module):
    """Patches a module after it has run. Outside of multiprocess mode, waits until the process asks
    for that mode.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ:
        _load(module)
    elif module.__name__ == "prometheus_client.multiprocess":
        _defer(module)
    else:
        if module.__name__ == "prometheus_client.values":
            _defer_values(module)
        _passed.append(module)


def _load(module=None):
    try:
        from shmetrics import _dropin
    except Exception as error:
        _tell(error)
        return
    while _passed:
        # prometheus_client has chosen process memory, as the variable was not set.
        _dropin.patch(_passed.pop(0), late=True)
    if module is not None:
        _dropin.patch(module)


def _defer_values(module):
    """Tests, and some applications, create the multiprocess value class themselves."""
    value = module.MultiProcessValue

    def MultiProcessValue(*args, **kwargs):
        if module.MultiProcessValue is MultiProcessValue:
            module.MultiProcessValue = value
            _load()
        return module.MultiProcessValue(*args, **kwargs)

    MultiProcessValue.__wrapped__, MultiProcessValue.__doc__, MultiProcessValue.__module__ = value, value.__doc__, value.__module__
    module.MultiProcessValue = MultiProcessValue


def _defer(module):
    """Libraries import the collector in all processes. A process that creates one names a directory
    by its argument.
    """
    collector, mark = module.MultiProcessCollector, module.mark_process_dead
    init = collector.__init__

    def load():
        if collector.__init__ is not __init__:
            return
        collector.__init__, module.mark_process_dead = init, mark
        _load(module)
        # The application may have imported the class by its name, or inherited from it.
        for name, value in list(vars(module.MultiProcessCollector).items()):
            if name == "__init__" or not name.startswith("__"):
                setattr(collector, name, value)

    def __init__(self, *args, **kwargs):
        load()
        collector.__init__(self, *args, **kwargs)

    def mark_process_dead(*args, **kwargs):
        load()
        module.mark_process_dead(*args, **kwargs)

    for ours, theirs in ((__init__, init), (mark_process_dead, mark)):
        ours.__wrapped__, ours.__doc__, ours.__module__ = theirs, theirs.__doc__, theirs.__module__
    collector.__init__, module.mark_process_dead = __init__, mark_process_dead


class _Finder:
    """The first finder. It lets the others find a module of prometheus_client, and has the module
    patched after it has run.
    """

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
                _patch(module)

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


# A line in a .pth file imports this module, and an entry point in a .start file calls it.
install()
