"""The light half of the start-up hook: waits until the program imports the modules that we have to change.

Runs at the start of every Python of a stage, before the program, so it imports nothing that is not loaded already.
The other half, bodywork_sockets.py, is loaded when `_socket`, `uvloop` or aiohttp's resolver is imported, if ever.
"""

import _frozen_importlib_external
import os
import sys

FOLDER = os.path.dirname(__file__)
BIND = os.environ.get("BODYWORK_BIND", "")
HOSTS = os.environ.get("BODYWORK_HOSTS", "")

# Module that is waited for -> the function of bodywork_sockets.py that changes it.
CHANGES = {
    "_socket": "change_socket",
    "uvloop": "change_uvloop",
    "aiohttp.resolver": "change_aiohttp",
}


def change(module):
    """Changes one module that has just been imported."""
    getattr(other_half(), CHANGES[module.__name__])(module)


def other_half():
    """The module bodywork_sockets, loaded at the first call."""
    name = "bodywork_sockets"
    if name in sys.modules:
        return sys.modules[name]
    module = type(sys)(name)
    module.__file__ = os.path.join(FOLDER, "bodywork_sockets.py")
    module.BIND = BIND
    module.HOSTS = HOSTS
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = False  # The folder is ours: without bytecode every process would compile it again.
    try:
        code = _frozen_importlib_external.SourceFileLoader(name, module.__file__).get_code(name)
    finally:
        sys.dont_write_bytecode = kept
    exec(code, module.__dict__)
    sys.modules[name] = module
    return module


class Finder:
    """Stands before the other finders and answers only for the modules that are waited for."""

    looking = set()

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in CHANGES or name in cls.looking:
            return None
        cls.looking.add(name)  # Another finder may ask all finders in turn.
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec = None if find is None or finder is cls else find(name, path, target)
                if spec is not None:
                    if spec.loader is not None:
                        spec.loader = Loader(spec.loader)
                    return spec
            return None
        finally:
            cls.looking.discard(name)


class Loader:
    """The module's own loader, followed by our change."""

    def __init__(self, own):
        self.own = own

    def __getattr__(self, name):
        return getattr(self.own, name)

    def create_module(self, spec):
        return self.own.create_module(spec)

    def exec_module(self, module):
        # Whoever looks at the module afterwards finds it as it would be without us.
        module.__loader__ = module.__spec__.loader = self.own
        self.own.exec_module(module)
        change(module)


if BIND or HOSTS:
    sys.meta_path.insert(0, Finder)
    for waited in CHANGES:
        if waited in sys.modules:
            change(sys.modules[waited])
