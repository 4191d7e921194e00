"""Runs when Python starts: has prometheus_client's multiprocess mode count into shared memory.

It only waits for modules of prometheus_client; what happens then is in shmetrics._dropin, which is
loaded in processes that are in multiprocess mode alone. SHMETRICS_PYTHON=0 turns it off.

PYTEST_DONT_REWRITE: pytest would warn that this has been imported before it.
"""

import os
import sys

_MODULES = frozenset(
    "prometheus_client." + name for name in ("values", "metrics", "multiprocess", "exposition", "openmetrics.exposition")
)
#: Those that have been imported outside of multiprocess mode, and are as they were.
_passed = []


def _tell(error):
    """Another Python's package, or a sub-interpreter. It ends no application, not even where
    warnings are errors.
    """
    import warnings

    try:
        warnings.warn("prometheus_client goes on without shmetrics: %s" % error, RuntimeWarning)
    except Exception:
        pass


def _patch(module):
    """Patches a module that has run; in a process that is not in multiprocess mode, when it turns
    out to be so.
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
        # Where values are kept has been decided without the variable, as prometheus_client does.
        _dropin.patch(_passed.pop(0), late=True)
    if module is not None:
        _dropin.patch(module)


def _defer_values(module):
    """Tests, and some applications, ask for values of the multiprocess mode themselves."""
    value = module.MultiProcessValue

    def MultiProcessValue(*args, **kwargs):
        if module.MultiProcessValue is MultiProcessValue:
            module.MultiProcessValue = value
            _load()
        return module.MultiProcessValue(*args, **kwargs)

    MultiProcessValue.__wrapped__, MultiProcessValue.__doc__, MultiProcessValue.__module__ = value, value.__doc__, value.__module__
    module.MultiProcessValue = MultiProcessValue


def _defer(module):
    """Libraries import the collector in all processes. One that makes it reads a directory that its
    argument names.
    """
    collector, mark = module.MultiProcessCollector, module.mark_process_dead
    init = collector.__init__

    def load():
        if collector.__init__ is not __init__:
            return
        collector.__init__, module.mark_process_dead = init, mark
        _load(module)
        # The class may have been imported by its name, or inherited from.
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
    """Comes before the other finders, has them find a module of these, and lets the module be
    patched once it has run.
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


# Both a line in a .pth file, which imports, and an entry point in a .start file, which calls, lead
# here.
install()
