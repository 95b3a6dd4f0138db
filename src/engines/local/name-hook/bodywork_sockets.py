"""The other half of the start-up hook: binds, connections and names of a stage's Python.

The stage believes it is alone on its machine, as it is in a pod. So
- a bind to a port of BIND (`5000=127.71.0.3:5000,...`) goes to the address of this replica, whichever address of a
  machine the program names, and a connection to that port on loopback goes there too;
- a name in the file HOSTS (hosts(5), read again when it changes) is that address; `# ports 5000=41234` at the end of
  a line says where a port is in truth. Other names that end in .svc.cluster.local do not exist.
Everything else goes to the system untouched. BIND and HOSTS are set by bodywork_hook.py, which loads this file when
`_socket` has just been imported: before `socket` copies its names, as a rule.
"""

import _socket
import os
import sys
from _weakref import ref

CLUSTER_SUFFIX = ".svc.cluster.local"
LOOPBACK = frozenset(("", "localhost", "0.0.0.0", "127.0.0.1", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"))
INET = (_socket.AF_INET, _socket.AF_INET6)

System = _socket.socket
system_getaddrinfo = _socket.getaddrinfo
system_gethostbyname = _socket.gethostbyname
system_gethostbyname_ex = _socket.gethostbyname_ex
system_gethostbyaddr = _socket.gethostbyaddr


def change_socket(_):
    """Puts ours into `_socket`, and into `socket` too where something imported it before the hook came."""
    methods = {"bind": bind, "connect": connect, "connect_ex": connect_ex}
    functions = {
        "getaddrinfo": getaddrinfo,
        "gethostbyname": gethostbyname,
        "gethostbyname_ex": gethostbyname_ex,
        "gethostbyaddr": gethostbyaddr,
    }
    for name in methods:
        methods[name].__doc__ = getattr(System, name).__doc__
    for name in functions:
        functions[name].__doc__ = getattr(_socket, name).__doc__
        setattr(_socket, name, functions[name])
    _socket.socket = type("socket", (System,), dict(methods, __slots__=(), __module__="_socket"))
    socket = sys.modules.get("socket")
    if hasattr(socket, "socket"):
        for name in methods:
            setattr(socket.socket, name, methods[name])
        for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
            setattr(socket, name, functions[name])


# Binds and connections


def bind(self, address):
    target = target_of_bind(self, address)
    if target is None:
        return System.bind(self, address)
    asked = Asked(self, address[0])
    share_address(self, address[1], asked)
    if asked.only6 and target[0].startswith("::ffff:"):
        self.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0)
    System.bind(self, target)
    try:
        bound[address[1]] = (ref(self), asked)
    except TypeError:
        pass  # A bare `_socket.socket` can't be referred to weakly.


def connect(self, address):
    return System.connect(self, target_of_connection(self, address))


def connect_ex(self, address):
    return System.connect_ex(self, target_of_connection(self, address))


def target_of_bind(sock, address):
    """The replica's address, when the program wants the service's port on an address of a machine; or None."""
    if not is_service_port(sock, address) or not is_address_of_machine(address[0], sock.family):
        return None
    return in_family(sock, target_of_port(address[1]))


def target_of_connection(sock, address):
    if not isinstance(address, tuple) or len(address) < 2 or sock.family not in INET:
        return address
    service = find(address[0])
    if service is not None:
        return in_family(sock, (service.address, service.port(address[1])))
    if is_service_port(sock, address) and plain(address[0]) in LOOPBACK:
        return in_family(sock, target_of_port(address[1]))
    return address


def is_service_port(sock, address):
    return (
        isinstance(address, tuple)
        and len(address) >= 2
        and target_of_port(address[1]) is not None
        and sock.family in INET
        and sock.type == _socket.SOCK_STREAM
    )


def is_address_of_machine(host, family):
    """True for all that is an address; of names, for the machine's own and those that exist."""
    name = plain(host)
    if name is None or name.startswith("<"):
        return False
    if name in LOOPBACK or name == os.uname().nodename.lower():
        return True
    try:
        return bool(system_getaddrinfo(host, None, family, _socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return False


def in_family(sock, target):
    """A target for a socket of either family: an IPv6 one reaches IPv4 by a mapped address."""
    if sock.family == _socket.AF_INET6 and ":" not in target[0]:
        return ("::ffff:" + target[0], target[1])
    return target


# Port -> (socket, what was asked for): what this process has bound last in place of an address of the machine.
bound = {}


class Asked:
    """The address that the program asked for."""

    __slots__ = ("host", "family", "only6", "every")

    def __init__(self, sock, host):
        self.host = plain(host)
        self.family = sock.family
        self.only6 = self.family == _socket.AF_INET6 and bool(
            sock.getsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY)
        )
        self.every = self.host in ("", "0.0.0.0", "::")

    def goes_with(self, other):
        """Whether a machine lets one program listen on both."""
        if self.family != other.family and (self.only6 or other.only6):
            return True
        return not self.every and not other.every and (self.family, self.host) != (other.family, other.host)


def share_address(sock, port, asked):
    """
    A program may bind several addresses of the machine, 0.0.0.0 and :: for instance, which for us are one. Then all
    its sockets get that one, and the system spreads connections over them.
    """
    held, other_asked = bound.get(port, (None, None))
    other = held and held()
    if other is not None and other.fileno() >= 0 and asked.goes_with(other_asked):
        for one in (other, sock):
            one.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)


# Names


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    service = find(host)
    if service is not None:
        found = system_getaddrinfo(service.address, service.port(port), family, type, proto, flags)
        if flags & _socket.AI_CANONNAME:
            found = [entry[:3] + (plain(host),) + entry[4:] for entry in found]
        return found
    found = system_getaddrinfo(host, port, family, type, proto, flags)
    if family == 0 and target_of_port(port) is not None:
        return one_way(found, flags)
    return found


def one_way(found, flags):
    """
    A server binds every address that it gets. For the service's port they all mean the replica's: one is enough. A
    client of loopback gets the one of IPv4, where the server is.
    """
    if not flags & _socket.AI_PASSIVE and not all(entry[4][0] in LOOPBACK for entry in found):
        return found
    chosen = [entry for entry in found if entry[0] == _socket.AF_INET] or found
    return [entry for entry in chosen if entry[4] == chosen[0][4]]


def gethostbyname(hostname):
    service = find(hostname)
    return system_gethostbyname(hostname) if service is None else service.address


def gethostbyname_ex(hostname):
    service = find(hostname)
    return system_gethostbyname_ex(hostname) if service is None else described(service, plain(hostname))


def gethostbyaddr(ip_address):
    name = plain(ip_address)
    if name in REPLICA_ADDRESSES:
        # http.server asks for the name of the address it is bound to; DNS knows nothing of it and may take long.
        return (os.uname().nodename, [], [name])
    service = find(ip_address) or hosts.services().get(name)
    return system_gethostbyaddr(ip_address) if service is None else described(service, service.names[0])


def described(service, name):
    return (name, [other for other in service.names if other != name], [service.address])


def find(host):
    """The service of that name; None when the name is not ours to answer; an error when it is ours and not there."""
    name = plain(host)
    if not name:
        return None
    service = hosts.services().get(name)
    if service is None and name.endswith(CLUSTER_SUFFIX):
        raise _socket.gaierror(_socket.EAI_NONAME, "Name or service not known")
    return service if service is not None and name != service.address else None


def target_of_port(port):
    """(address, port) for a port of the service; None for all others."""
    try:
        return BINDS.get(int(port)) if BINDS and port is not None else None
    except (TypeError, ValueError):
        return None


def plain(host):
    """A host as lower-case text without the final dot; None for what can't be a name."""
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("latin-1")
    if not isinstance(host, str):
        return None
    host = host.lower()
    return host[:-1] if host.endswith(".") else host


class Service:
    """One line of the hosts file."""

    __slots__ = ("address", "names", "ports")

    def __init__(self, address, names, ports):
        self.address = address
        self.names = names
        self.ports = ports

    def port(self, port):
        """Where a port of the service is in truth."""
        try:
            return self.ports.get(int(port), port)
        except (TypeError, ValueError):
            return port


class Hosts:
    """The hosts file as it is now."""

    def __init__(self, path):
        self.path = path
        self.state = (None, {})

    def services(self):
        """Name or address -> Service."""
        if not self.path:
            return {}
        seen, services = self.state
        try:
            if seen != signature(os.stat(self.path)):
                with open(self.path, "rb") as file:
                    seen = signature(os.fstat(file.fileno()))
                    services = parse_hosts(file.read().decode("latin-1"))
                self.state = (seen, services)
        except OSError:
            return {}
        return services


def signature(status):
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def parse_hosts(text):
    services = {}
    for line in text.splitlines():
        entry, _, comment = line.partition("#")
        words = entry.lower().split()
        if len(words) < 2:
            continue
        moved = pairs(comment.strip()[6:]) if comment.strip().startswith("ports ") else {}
        service = Service(words[0], words[1:], {port: int(to) for port, to in moved.items() if to.isdigit()})
        for word in words:
            services.setdefault(word, service)
    return services


def parse_binds(text):
    """`5000=127.71.0.3:5000,...` as a dictionary of port -> (address, port)."""
    found = {}
    for port, target in pairs(text).items():
        address, _, target_port = target.rpartition(":")
        if address and target_port.isdigit():
            found[port] = (address, int(target_port))
    return found


def pairs(text):
    """`5000=a,6000=b` as a dictionary of port -> text."""
    found = {}
    for pair in text.split(","):
        port, _, target = pair.strip().partition("=")
        if port.isdigit() and target:
            found[int(port)] = target
    return found


BINDS = parse_binds(BIND)  # noqa: F821
REPLICA_ADDRESSES = frozenset(address for address, _ in BINDS.values())
hosts = Hosts(HOSTS)  # noqa: F821


# Libraries that go past `socket`


def change_uvloop(uvloop):
    """uvloop makes its sockets and asks for names in C, so its loop is given addresses that need no more change."""
    import socket

    Loop = uvloop.Loop
    loop_getaddrinfo = Loop.getaddrinfo
    loop_create_connection = Loop.create_connection
    loop_create_server = Loop.create_server
    loop_sock_connect = Loop.sock_connect

    async def getaddrinfo(self, host, port, *, family=0, type=0, proto=0, flags=0):
        if target_of_client(host, port) is not None:
            # Addresses only: this does not wait for anything.
            return socket.getaddrinfo(host, port, family, type, proto, flags)
        return await loop_getaddrinfo(self, host, port, family=family, type=type, proto=proto, flags=flags)

    async def create_connection(self, protocol_factory, host=None, port=None, **options):
        target = target_of_client(host, port)
        if target is not None:
            if options.get("ssl") and options.get("server_hostname") is None:
                options["server_hostname"] = plain(host)
            host, port = target
        return await loop_create_connection(self, protocol_factory, host, port, **options)

    async def create_server(self, protocol_factory, host=None, port=None, **options):
        target = target_of_port(port)
        asked = [host] if host is None or isinstance(host, (str, bytes)) else list(host)
        if target is not None and all(one is None or is_address_of_machine(one, 0) for one in asked):
            host, port = target
            options["family"] = 0
        return await loop_create_server(self, protocol_factory, host, port, **options)

    async def sock_connect(self, sock, address):
        if isinstance(address, tuple) and len(address) >= 2:
            target = target_of_client(address[0], address[1])
            address = address if target is None else in_family(sock, target)
        return await loop_sock_connect(self, sock, address)

    Loop.getaddrinfo = getaddrinfo
    Loop.create_connection = create_connection
    Loop.create_server = create_server
    Loop.sock_connect = sock_connect


def target_of_client(host, port):
    """Where a client that knows only host and port really goes; None when the system is to find out."""
    service = find(host)
    if service is not None:
        return (service.address, service.port(port))
    return target_of_port(port) if plain(host) in LOOPBACK else None


def change_aiohttp(resolver):
    """With aiodns installed, aiohttp asks for names past the system."""
    AsyncResolver = getattr(resolver, "AsyncResolver", None)
    if AsyncResolver is None:
        return
    resolve_by_dns = AsyncResolver.resolve

    async def resolve(self, host, port=0, family=_socket.AF_INET):
        service = find(host)
        if service is None:
            return await resolve_by_dns(self, host, port, family)
        return [
            {
                "hostname": host,
                "host": service.address,
                "port": service.port(port),
                "family": _socket.AF_INET,
                "proto": 0,
                "flags": _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV,
            }
        ]

    AsyncResolver.resolve = resolve
