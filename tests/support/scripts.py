"""Scripts beside the package, as modules."""

import importlib.util
import sys


def script(path):
    """The module of a Python file, which is run once."""
    name = path.stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
