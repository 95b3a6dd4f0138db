"""The light half of the start-up hook: waits until the program imports the modules that we have to change.

Runs at the start of every Python of a stage, before the program, so it imports nothing that is not loaded already and
makes no class. This module is itself a finder of sys.meta_path. The other half, bodywork_sockets.py, is loaded after
the first import of a module that is waited for, if ever.
"""

import os
import sys
from _thread import get_ident

BIND = os.environ.get("BODYWORK_BIND") or ""
HOSTS = os.environ.get("BODYWORK_HOSTS") or ""

# Module that is waited for -> the function of bodywork_sockets.py that changes it.
WAITED = {"_socket": "change_socket", "uvloop": "change_uvloop", "aiohttp.resolver": "change_aiohttp"}

looking = set()
changed = set()


def find_spec(name, path=None, target=None):
    """What the other finders know of a module that is waited for, with a loader that changes it after its import."""
    if name not in WAITED:
        return None
    look = (name, get_ident())
    if look in looking:
        return None  # Another finder asks all finders in turn.
    looking.add(look)
    try:
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = changing_loader(spec.loader)
                return spec
        return None
    finally:
        looking.discard(look)


def changing_loader(own):
    """The module's own loader, followed by our change."""

    class Loader:
        def __getattr__(self, name):
            return getattr(own, name)

        def create_module(self, spec):
            return own.create_module(spec)

        def exec_module(self, module):
            # Whoever looks at the module afterwards finds it as it would be without us.
            module.__loader__ = module.__spec__.loader = own
            own.exec_module(module)
            change(module)

    return Loader()


def change(module):
    """Changes a module that has just been imported; once."""
    if module.__name__ not in changed:
        changed.add(module.__name__)
        getattr(other_half(), WAITED[module.__name__])(module)


def other_half():
    """The module bodywork_sockets, loaded at the first call."""
    import _frozen_importlib_external

    name = "bodywork_sockets"
    if name in sys.modules:
        return sys.modules[name]
    module = type(sys)(name)
    module.__file__ = os.path.join(os.path.dirname(__file__), "bodywork_sockets.py")
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


if BIND or HOSTS:
    sys.meta_path.insert(0, sys.modules[__name__])
    for waited in WAITED:
        if waited in sys.modules:
            change(sys.modules[waited])
