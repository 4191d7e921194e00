"""The build backend: maturin, for the Python that runs it. It refuses a Python that it cannot build
for, with the reason, before it does anything.
"""

import os
import sys
import sysconfig


def _reason():
    """Why this Python cannot have the package."""
    if sys.implementation.name != "cpython":
        return "CPython is needed, and this is %s" % sys.implementation.name
    if sys.version_info < (3, 9):
        return "CPython 3.9 or later is needed, and this is %d.%d" % sys.version_info[:2]
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return (
            "free-threaded builds of Python are not supported: a process' own share of a value is kept under the GIL, "
            "so updates of two threads could be lost there. Use the build of CPython %d.%d with the GIL" % sys.version_info[:2]
        )
    if not sys.platform.startswith("linux"):
        return "Linux is needed, and this is %s" % sys.platform
    return None


def _maturin():
    reason = _reason()
    if reason:
        raise SystemExit("shmetrics cannot be built: %s." % reason)
    if sys.version_info < (3, 10) and "MATURIN_PEP517_ARGS" not in os.environ:
        # The default is the stable ABI from 3.10 on.
        os.environ["MATURIN_PEP517_ARGS"] = "--no-default-features --features py39"
    import maturin

    return maturin


def get_requires_for_build_wheel(config_settings=None):
    return _maturin().get_requires_for_build_wheel(config_settings)


def get_requires_for_build_editable(config_settings=None):
    return _maturin().get_requires_for_build_editable(config_settings)


def get_requires_for_build_sdist(config_settings=None):
    return _maturin().get_requires_for_build_sdist(config_settings)


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return _maturin().prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def prepare_metadata_for_build_editable(metadata_directory, config_settings=None):
    return _maturin().prepare_metadata_for_build_editable(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _maturin().build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _maturin().build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory, config_settings=None):
    return _maturin().build_sdist(sdist_directory, config_settings)
