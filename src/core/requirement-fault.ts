/** What is wrong with one item of `requirements`, as advice; undefined when nothing shows. */
export function requirementFault(
  requirement: string,
): { readonly code: string; readonly text: string } | undefined {
  const [, name, pinned] =
    /^\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\s*\[[^\]]*\])?\s*(?:=\s*([^=\s].*))?/.exec(requirement) ?? [];
  if (name === undefined) return undefined;
  if (pinned !== undefined) {
    return {
      code: "requirement-pin",
      text: `${requirement.trim()} is no requirement; did you mean ${name}==${pinned.trim()}?`,
    };
  }
  const isBare = /^\s*[A-Za-z0-9._-]+\s*(?:[=<>!~;].*)?$/s.test(requirement);
  if (isBare && partOfPython.has(name.toLowerCase())) {
    return {
      code: "requirement-standard-library",
      text: `${name} is part of Python; what a package index has under that name is something else`,
    };
  }
  return undefined;
}

/** Modules of Python 3's standard library, without those whose names are also those of useful packages. */
const partOfPython = new Set(
  `abc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 calendar cgi cgitb chunk cmath cmd code codecs
  codeop collections colorsys compileall configparser contextlib contextvars copy copyreg crypt csv ctypes curses datetime dbm
  decimal difflib dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch
  fractions ftplib functools gc getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http imaplib imghdr imp
  importlib inspect io ipaddress itertools json keyword linecache locale logging lzma mailbox marshal math mimetypes mmap
  multiprocessing netrc numbers operator optparse os pathlib pdb pickle pickletools pkgutil platform plistlib poplib posix
  pprint profile pstats pty pwd py_compile queue quopri random re readline reprlib resource runpy sched secrets select selectors
  shelve shlex shutil signal site smtplib socket socketserver sqlite3 ssl stat statistics string stringprep struct subprocess
  symtable sys sysconfig syslog tarfile telnetlib tempfile termios textwrap threading time timeit tkinter token tokenize
  tomllib trace traceback tracemalloc tty types typing unicodedata unittest urllib uu uuid venv warnings wave weakref
  webbrowser wsgiref xml xmlrpc zipapp zipfile zipimport zlib zoneinfo`.split(/\s+/),
);
