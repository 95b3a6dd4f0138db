"""Copies standard input to standard output, a log, and puts *** in place of secrets in any of their usual spellings.

usage: python -I -S mask_log.py NAMES [again]

NAMES, with commas between them, are the variables that hold the secrets. Everything is passed on at once, except an end
that may be the beginning of a secret: it waits for what comes after it. Values shorter than 4 characters are left as they
are, for they would blank the log.

It ends when nobody can write any more. When descriptor 3 has something to read, the program has ended: what it wrote is
still copied, but nobody else who has the pipe is waited for. That descriptor is not read from, so that another one, which
runs after this one was killed (`again`), sees it too.
"""

import binascii
import os
import sys

SHORTEST = 4
SPACE = " \t\n\r\v\f"
URL_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()"
JSON_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
CHUNK = 256 * 1024
STARS = b"***"


def main(names, again):
    import select

    masker = Masker(forms_of(os.environb.get(name, b"") for name in names.split(b",")))
    log = Log()
    skip = 0
    if again:
        log.lost = True
        # The rest of a secret may come first, whose beginning went with the one that was killed.
        skip = masker.longest
    widen_pipe()
    events = select.poll()
    events.register(0, select.POLLIN)
    events.register(3, select.POLLIN)
    left = None
    while left != 0:
        told = dict(events.poll()) if left is None else {0: select.POLLIN}
        if told.get(3, 0) & select.POLLIN:
            left = bytes_in_pipe()
            continue
        if 3 in told:
            events.unregister(3)
        if 0 in told:
            data = os.read(0, CHUNK if left is None else min(CHUNK, left))
            if not data:
                break
            left = None if left is None else left - len(data)
            data, skip = without_start(data, skip)
            log.write(masker.feed(data))
    log.write(masker.end())


def widen_pipe():
    """A program that writes much need not wait so often."""
    import fcntl

    try:
        fcntl.fcntl(0, 1031, 1024 * 1024)  # F_SETPIPE_SZ, which Python has no name for before 3.10
    except OSError:
        pass  # Not Linux, or this user has many pipes: it goes without.


def bytes_in_pipe():
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(0, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)


def without_start(data, skip):
    """Without the first `skip` bytes, or without the first line when that is shorter."""
    line = data.find(b"\n", 0, skip) + 1
    if line > 0:
        return data[line:], 0
    return data[skip:], max(0, skip - len(data))


def forms_of(values):
    """The spellings that are looked for: those of core/mask.ts, which says what they are for."""
    forms = set()
    for value in values:
        text = value.decode("utf-8", "replace")
        trimmed = text.strip(SPACE)
        if len(trimmed) < SHORTEST:
            continue
        for whole in {text, trimmed}:
            forms.update(base64_forms(whole.encode()))
            forms.update(form.encode() for form in text_forms(whole))
        lines = (line.strip(SPACE) for line in text.replace("\r", "\n").split("\n"))
        forms.update(line.encode() for line in lines if len(line) >= SHORTEST)
    return sorted(forms)


def base64_forms(value):
    for shift in range(3):
        encoded = binascii.b2a_base64(b"\0" * shift + value, newline=False)
        start = (0, 2, 3)[shift]
        # Among other bytes, and as the last of them.
        for own in (encoded[start : (shift + len(value)) * 8 // 6], encoded[start:], encoded[start:].rstrip(b"=")):
            yield own
            yield own.replace(b"+", b"-").replace(b"/", b"_")


def text_forms(text):
    value = text.encode()
    hexadecimal = binascii.hexlify(value).decode()
    url = "".join(chr(byte) if byte in URL_SIGNS else "%%%02X" % byte for byte in value)
    strict = "".join("%%%02X" % ord(sign) if sign in "!*'()" else sign for sign in url)
    json = "".join(JSON_SHORT.get(sign) or ("\\u%04x" % ord(sign) if sign < " " else sign) for sign in text)
    ascii_json = "".join(sign if sign < "\x7f" else utf16_escapes(sign) for sign in json)
    xml = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quoted = xml.replace('"', "&quot;")
    return (
        text,
        hexadecimal,
        hexadecimal.upper(),
        url,
        strict,
        strict.replace("%2F", "/"),
        strict.replace("%20", "+"),
        json,
        ascii_json,
        repr(text)[1:-1],
        repr(value)[2:-1],
        xml,
        quoted.replace("'", "&#x27;"),
        quoted.replace("'", "&#39;"),
        quoted.replace("'", "&apos;"),
        text.replace("'", "'\"'\"'"),
        text.replace("'", "'\\''"),
    )


def utf16_escapes(sign):
    units = binascii.hexlify(sign.encode("utf-16-be")).decode()
    return "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4))


class Log:
    """Standard output. What can't be written, to a full disk above all, is lost: nobody is stopped by it."""

    def __init__(self):
        self.lost = False

    def write(self, data):
        if self.lost:
            data = b"\n[bodywork: a part of the log was lost here]\n" + data
        try:
            while data:
                data = data[os.write(1, data) :]
            self.lost = False
        except OSError:
            self.lost = True


class Masker:
    """Masks a stream that comes in pieces."""

    def __init__(self, forms):
        self.forms = forms
        self.longest = max(map(len, forms), default=0)
        self.held = b""
        # Bytes at the start of `held` for which *** was given out.
        self.covered = 0

    def feed(self, data):
        data = self.held + data
        return self._mask(data, self._start_of_possible(data))

    def end(self):
        return self._mask(self.held, len(self.held))

    def _mask(self, data, end):
        """Everything before `end`; the rest is held back. Secrets that overlap become one ***."""
        parts = []
        at = self.covered
        for start, stop in self._places(data):
            if start >= end:
                break
            if start >= at:
                parts += [data[at:start], STARS]
            at = max(at, stop)
        parts.append(data[at:end])
        self.held = data[end:]
        self.covered = max(0, at - end)
        return b"".join(parts)

    def _places(self, data):
        found = []
        # One search for each form is faster than one regular expression for all of them.
        for form in self.forms:
            at = data.find(form)
            while at >= 0:
                start = at
                stop = at + len(form)
                at = data.find(form, at + 1)
                while 0 <= at < stop:
                    stop = at + len(form)
                    at = data.find(form, at + 1)
                found.append((start, stop))
        return sorted(found)

    def _start_of_possible(self, data):
        """Where the longest end of `data` begins that a form may go on from."""
        first = len(data)
        for form in self.forms:
            at = data.find(form[:1], max(0, len(data) - len(form) + 1))
            while 0 <= at < first:
                if form.startswith(data[at:]):
                    first = at
                at = data.find(form[:1], at + 1)
        return first


if __name__ == "__main__":
    main(os.fsencode(sys.argv[1]), sys.argv[2:] == ["again"])
