"""Runs one stage of a pipeline in its pod, by the image's own Python (3.7 or newer) and nothing else.

usage: python -I -u run_stage.py

All that it needs to know is in BODYWORK_STAGE_SPECIFICATION, as JSON (PodSpecification in pod-contract.ts).
What came of it is written to the container's termination log, as JSON too (PodReport). Exits 0 when the stage
has succeeded and 1 otherwise.

It is process 1 of the container: signals are handed on to the stage, and processes without parents are waited
for. What it does and says is what the local engine does and says (src/engines/local, src/environments,
src/artifacts): digests, reasons and the lines of the log are the same there.
"""

import configparser
import errno
import fcntl
import glob
import gzip
import hashlib
import hmac
import http.client
import importlib
import io
import json
import os
import platform
import posixpath
import re
import secrets
import select
import shutil
import signal
import site
import ssl
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import termios
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import zlib

# The uv that is installed where the image has none; the one of the local engine.
UV_VERSION = "0.13.9"
# Raised when environments are made in another way, so that old ones are no longer found.
ENVIRONMENT_FORMAT = 1
# Runs notebooks.
NOTEBOOK_RUNNER = ["nbclient", "nbconvert", "ipykernel"]
# Seconds between SIGTERM and SIGKILL when a stage has run out of time or its pod is to go.
GRACE = 10
# Seconds that an installer may take.
INSTALLER_LIMIT = 30 * 60
# Bytes that Kubernetes keeps of a container's last message.
REPORT_BYTES = 4096
# Leftovers of pods that were killed, in caches and storages that outlive them, go after so many seconds.
LEFT_OVER = 24 * 3600


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    signals = Signals()
    place = Place(os.environ)
    specification = json.loads(os.environ["BODYWORK_STAGE_SPECIFICATION"])
    progress = Progress()
    output = Output()
    try:
        instead = prefer_wanted_python(specification.get("python"))
        output.mask(specification["secretVariables"], place.program)
        report = run_stage(specification, place, progress, signals, instead)
        signals.ignore()
    except Failed as failure:
        signals.ignore()
        log("ERROR", "Stage %s failed - %s" % (specification["stage"], failure.shown))
        report = dict(progress.facts, status="failed", reason=failure.reason, phase=progress.phase)
    except BaseException as error:
        signals.ignore()
        traceback.print_exc()
        log("ERROR", "Stage %s failed - %r" % (specification["stage"], error))
        reason = "%s: %s" % (type(error).__name__, error)
        report = dict(progress.facts, status="failed", reason=reason, phase=progress.phase)
    if "reason" in report:
        # All else is what we have counted and named ourselves: a short secret may be in a digest by chance.
        report["reason"] = output.masked(report["reason"])
    write_report(place.termination_log, report)
    output.end()
    return 0 if report["status"] == "succeeded" else 1


def run_stage(specification, place, progress, signals, instead):
    stage = specification["stage"]
    origin = "%s from %s branch of repo at %s" % (
        stage,
        specification.get("branch") or "",
        redact(specification["url"]),
    )
    log("INFO", "Starting stage = %s" % origin)
    progress.facts["pythonVersion"] = platform.python_version()
    if instead is not None:
        log("WARNING", instead)

    progress.phase = "sources"
    storage = open_storage(specification.get("storage"), place)
    root = os.path.join(place.work, "bodywork_project")
    unpack_commit(specification, place, storage, root)
    module = locate(root, specification["module"], stage)

    progress.phase = "requirements"
    environment = prepare_environment(specification, place, root, progress)

    progress.phase = "inputs"
    if specification["outputs"] and storage is None:
        raise Failed(
            "the stage has outputs, but there is nowhere to keep them: name a claim or a bucket as "
            "kubernetes.storage in settings.yaml"
        )
    inputs = place_inputs(specification, place, storage, root)

    progress.phase = "module"
    variables = stage_variables(specification, environment, root, module, inputs)
    run_module(specification, place, environment, module, variables, signals)

    progress.phase = "outputs"
    outputs = collect_outputs(specification, place, storage, root, module)
    report = dict(progress.facts, status="succeeded", outputs=outputs)
    if len(report_text(report)) > REPORT_BYTES:
        raise Failed(
            "the stage has succeeded, but its %d outputs are too many for a pod's last message (%d bytes): "
            "declare a folder as one output" % (len(outputs), REPORT_BYTES)
        )
    log("INFO", "Successfully ran stage = %s" % origin)
    return report


class Place:
    """Where things are in the pod (podPaths in pod-contract.ts); BODYWORK_POD_ROOT moves them all."""

    def __init__(self, variables):
        top = variables.get("BODYWORK_POD_ROOT") or "/bodywork"
        self.sources = os.path.join(top, "sources")
        self.work = os.path.join(top, "work")
        self.cache = os.path.join(top, "cache")
        # Of this pod alone: where environments go when the cache may only be read.
        self.own_cache = os.path.join(self.work, "cache")
        self.storage = os.path.join(top, "storage")
        self.program = os.path.dirname(os.path.abspath(__file__))
        self.termination_log = variables.get("BODYWORK_TERMINATION_LOG") or "/dev/termination-log"
        os.makedirs(self.work, exist_ok=True)
        self.temporary = os.path.join(self.work, ".tmp")
        remove_tree(self.temporary)
        os.makedirs(self.temporary)
        try:
            tempfile.gettempdir()
        except OSError:
            # The container's file system may only be read.
            os.environ["TMPDIR"] = self.temporary


class Progress:
    """What is going on, and what is known by now, for the report."""

    def __init__(self):
        self.phase = "sources"
        self.facts = {}


class Failed(Exception):
    """The stage has failed. `reason` is for the run's record, `shown` for the log."""

    def __init__(self, reason, shown=None):
        super().__init__(reason)
        self.reason = reason
        self.shown = reason if shown is None else shown


def log(level, text):
    print("[%s] %-8s %s" % (time.strftime("%d/%m/%y %H:%M:%S"), level, text), flush=True)


def write_report(path, report):
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(report_text(report))
    except OSError as error:
        log("WARNING", "Cannot write what came of the stage to %s: %s" % (path, error))


def report_text(report):
    """In ASCII, so that characters are bytes. The end of a long reason goes; outputs never do."""
    text = json.dumps(report)
    reason = report.get("reason") or ""
    while len(text) > REPORT_BYTES and reason != "":
        reason = reason[: len(reason) // 2]
        text = json.dumps(dict(report, reason=reason + "…"))
    return text


def redact(text):
    """Without user names and passwords in web addresses."""
    return re.sub(r"(https?://)[^\s/'\"]*@", r"\1****@", text, flags=re.I)


# ---- What is printed


class Output:
    """
    What this container prints. For a stage with secrets all of it, ours and the installers' too, goes
    through a pipe to a thread that puts *** in their place, as the local engine does (mask_log.py). It is a
    thread because any other process may be ended by the stage, and is ended with it.
    """

    # Bytes that are read at once.
    chunk = 1 << 16

    def __init__(self):
        self.masker = None
        self.thread = None

    def mask(self, names, program):
        """From now on; the values are in these variables. Without any, nothing is changed."""
        if not names:
            return
        mask_log = import_beside("mask_log", program)
        forms = mask_log.forms_of(os.environb.get(os.fsencode(name), b"") for name in names)
        if not forms:
            return
        self.masker = lambda: mask_log.Masker(forms)
        # No signal comes in between, and none is ever for the thread.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        try:
            self.log = os.dup(1)
            self.error_log = os.dup(2)
            self.source, entry = os.pipe()
            self.over, self.ending = os.pipe()
            self.thread = threading.Thread(target=self.relay, daemon=True)
            self.thread.start()
            os.dup2(entry, 1)
            os.dup2(entry, 2)
            os.close(entry)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def masked(self, text):
        if self.masker is None:
            return text
        masker = self.masker()
        masked = masker.feed(text.encode("utf-8", "surrogatepass")) + masker.end()
        return masked.decode("utf-8", "replace")

    def end(self):
        """All that was printed until now is in the log. Nobody who still has the pipe is waited for."""
        if self.thread is None:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(self.log, 1)
        os.dup2(self.error_log, 2)
        os.close(self.ending)
        self.thread.join()

    def relay(self):
        masker = self.masker()
        is_lost = False
        for data in self.pieces():
            # Whatever happens, what comes is read: the stage would wait for ever.
            try:
                self.write(b"" if is_lost else masker.feed(data))
            except Exception:
                is_lost = True
                self.write(b"\n[bodywork: the log ends here: the secrets in it cannot be masked]\n")
        if not is_lost:
            self.write(masker.end())

    def pieces(self):
        """What is written to the pipe, until nobody can any more, or up to what is in it when all is over."""
        events = select.poll()
        events.register(self.source, select.POLLIN)
        events.register(self.over, select.POLLIN)
        left = None
        while left != 0:
            if left is None and self.over in dict(events.poll()):
                left = bytes_in_pipe(self.source)
                continue
            data = os.read(self.source, self.chunk if left is None else min(self.chunk, left))
            if not data:
                return
            left = None if left is None else left - len(data)
            yield data

    def write(self, data):
        try:
            while data:
                data = data[os.write(self.log, data) :]
        except OSError:
            pass  # Nobody has the log any more; the stage is not stopped by that.


def import_beside(name, folder):
    """A module of ours: this Python looks in no folder but its own."""
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = kept


def bytes_in_pipe(descriptor):
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)


# ---- Signals and processes


class Signals:
    """
    SIGTERM and its like: ends what is being prepared, or is handed on to the stage's processes when they run.
    """

    def __init__(self):
        self.group = None
        self.received = None
        self.is_starting = False
        self.is_over = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, self.receive)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self.hand_on)

    def receive(self, number, _frame):
        is_first = self.received is None
        self.received = self.received or number
        if self.group is not None:
            signal_group(self.group, number)
        elif is_first and not self.is_over and not self.is_starting:
            raise Failed(signal_name(number))

    def start(self, group):
        """The stage runs, and gets what was received while it was being started."""
        self.is_starting = False
        self.group = group
        if self.received is not None:
            signal_group(group, self.received)

    def ignore(self):
        """All is done but to say what came of it."""
        self.is_over = True

    def hand_on(self, number, _frame):
        if self.group is not None:
            signal_group(self.group, number)


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def signal_group(group, number):
    """False when there is no such process any more."""
    try:
        os.killpg(group, number)
        return True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


class Ended:
    """How a program ended: its exit status as `wait` tells it, and whether its time was up before."""

    def __init__(self, status, timed_out, out_of_memory):
        self.timed_out = timed_out
        self.out_of_memory = out_of_memory
        self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def run_program(command, folder, variables, limit, signals):
    """Runs the stage's program in a process group of its own and waits until all of the group has ended."""
    kills_before = out_of_memory_kills()
    signals.is_starting = True
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, start_new_session=True
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    group = process.pid
    timed_out = []

    def out_of_time(_number, _frame):
        if not timed_out:
            timed_out.append(True)
            signal_group(group, signal.SIGTERM)
            signal.setitimer(signal.ITIMER_REAL, GRACE)
        else:
            signal_group(group, signal.SIGKILL)

    signal.signal(signal.SIGALRM, out_of_time)
    signals.start(group)
    if limit:
        signal.setitimer(signal.ITIMER_REAL, limit)
    status = wait_for(group)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.returncode = 0
    if timed_out or signals.received is not None:
        end_group(group)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal_group(group, signal.SIGKILL)
    if os.getpid() == 1:
        end_everything()
    signals.group = None
    return Ended(status, bool(timed_out), out_of_memory_kills() > kills_before)


# All that something is done about while the stage runs.
AWAITED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
AWAITED |= {signal.SIGALRM, signal.SIGCHLD}


def wait_for(wanted):
    """
    The exit status of the process; others that end meanwhile are waited for as well. AWAITED signals are held
    back by the caller, for one that came right before `waitpid` would be noticed only after that.
    """
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == wanted:
            return status
        if pid == 0:
            number = signal.sigwait(AWAITED)
            handler = signal.getsignal(number)
            if callable(handler):
                handler(number, None)


def end_group(group):
    """The leader has ended: gives the others the time that is left to them."""
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline and signal_group(group, 0):
        reap()
        time.sleep(0.05)


def end_everything():
    """All others of the container: nothing changes the outputs any more."""
    try:
        os.kill(-1, signal.SIGKILL)
    except OSError:
        return
    deadline = time.monotonic() + GRACE
    while reap() and time.monotonic() < deadline:
        time.sleep(0.01)


def reap():
    """False when there are no children left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
        return True
    except ChildProcessError:
        return False


def out_of_memory_kills():
    """
    How many processes of the container the kernel has killed since its start; control groups of both
    versions.
    """
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        found = re.search(r"^oom_kill (\d+)$", text_if_there(path) or "", re.M)
        if found:
            return int(found.group(1))
    return 0


def memory_limit():
    """In MiB; None when there is none."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = (text_if_there(path) or "").strip()
        # Without a limit the older version shows a number that no machine has.
        if text.isdigit() and int(text) < 1 << 60:
            return int(text) >> 20
    return None


def text_if_there(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


# ---- The commit


def unpack_commit(specification, place, storage, root):
    """The commit's files, in an empty folder; as a checkout by Git would make them."""
    remove_tree(root)
    os.makedirs(root)
    key = specification.get("storedSources")
    try:
        if key is None:
            with io.BufferedReader(Parts(place.sources), 1 << 16) as archive:
                unpack(archive, root)
        else:
            with storage.open(key) as archive:
                unpack(archive, root)
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise Failed(
            "the archive of commit %s is damaged (%s): deploy again" % (specification["commit"], error)
        )
    except OSError as error:
        raise Failed("cannot unpack commit %s: %s" % (specification["commit"], error))


class Parts(io.RawIOBase):
    """`part-000`, `part-001`, … of a folder, one after the other."""

    def __init__(self, folder):
        super().__init__()
        self.paths = sorted(glob.glob(os.path.join(glob.escape(folder), "part-*")))
        if not self.paths:
            raise Failed("the commit is not in the pod: there is nothing in %s" % folder)
        self.file = None

    def readable(self):
        return True

    def readinto(self, buffer):
        while True:
            if self.file is None:
                if not self.paths:
                    return 0
                self.file = open(self.paths.pop(0), "rb")
            count = self.file.readinto(buffer)
            if count:
                return count
            self.file.close()
            self.file = None


def unpack(compressed, root):
    """
    Links come last, and files only where nothing is: nothing is ever written through a link. All is read, to
    the checksum at the end.
    """
    top = os.fsencode(root)
    links = []
    with gzip.GzipFile(fileobj=compressed, mode="rb") as stream:
        with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                path = os.path.join(top, *safe_parts(member.name))
                if member.isdir():
                    os.makedirs(path, exist_ok=True)
                    continue
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if member.issym():
                    links.append((path, member.linkname))
                elif member.isreg():
                    write_member(archive.extractfile(member), path, member.mode)
                else:
                    raise ValueError("%s is neither a file, a folder nor a link" % member.name)
        while stream.read(1 << 16):
            pass
    for path, goal in links:
        os.symlink(goal.encode("utf-8", "surrogateescape"), path)


def safe_parts(name):
    parts = name.rstrip("/").encode("utf-8", "surrogateescape").split(b"/")
    if any(part in (b"", b".", b"..") or b"\0" in part for part in parts):
        raise ValueError("the path %r leads elsewhere" % name)
    return parts


def write_member(source, path, mode):
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o777 if mode & 0o100 else 0o666)
    with os.fdopen(descriptor, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def remove_tree(path):
    """A tree that may have folders without write permission in it; nothing when there is none."""
    if os.path.isdir(path) and not os.path.islink(path):
        try:
            shutil.rmtree(path)
            return
        except OSError:
            pass
        for folder, _, _ in os.walk(path):
            os.chmod(folder, 0o700)
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


# ---- Paths


def resolve_inside(root, path):
    """
    The absolute path of `path` inside `root`; None when it is absolute or leads outside, be it by `..` or
    through a link. What does not exist (yet) is judged by its nearest parent that does.
    """
    if path == "" or len(path) > 4096 or "\0" in path or "\\" in path or path.startswith("/"):
        return None
    real_root = os.path.realpath(root)
    lexical = os.path.normpath(os.path.join(real_root, path))
    if not is_inside(real_root, lexical):
        return None
    existing = lexical
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    try:
        os.stat(existing)
    except OSError:
        return None  # A dangling or circular link: nobody can say where it leads.
    real = os.path.realpath(existing)
    if not is_inside(real_root, real):
        return None
    return os.path.normpath(os.path.join(real, os.path.relpath(lexical, existing)))


def is_inside(root, path):
    separator = b"/" if isinstance(path, bytes) else "/"
    return path == root or path.startswith(root.rstrip(separator) + separator)


def locate(root, path, stage):
    resolved = resolve_inside(root, path)
    if resolved is None:
        raise Failed('Cannot run stage "%s": the path "%s" leads outside the repository.' % (stage, path))
    return resolved


# ---- The environment


class Environment:
    """
    A folder with packages beside the image's own (bin/python inside); None stands for the image's Python
    alone.
    """

    def __init__(self, folder):
        self.folder = folder
        self.python = os.path.join(folder, "bin", "python")


def prefer_wanted_python(wanted):
    """
    Goes on as the Python that is asked for when the image has it under its own name; what to say when it has
    not.
    """
    version = platform.python_version()
    if not wanted or version == wanted or version.startswith(wanted + "."):
        return None
    minor = re.match(r"3\.\d+", wanted)
    found = shutil.which("python" + minor.group(0)) if minor else None
    if found is not None and os.environ.get("BODYWORK_WANTED_PYTHON") != found:
        os.environ["BODYWORK_WANTED_PYTHON"] = found
        sys.stdout.flush()
        try:
            os.execv(found, [found, "-I", "-u", os.path.abspath(__file__)])
        except OSError:
            pass  # The warning says it.
    return "Python %s is not in this image; Python %s (%s) is used instead." % (
        wanted,
        version,
        sys.executable,
    )


def prepare_environment(specification, place, root, progress):
    """Finds or builds what the stage needs beside what the image has; None when it needs nothing."""
    requirements = read_requirements(specification, root)
    extras = NOTEBOOK_RUNNER if specification["module"].endswith(".ipynb") else []
    if not requirements.specs and not requirements.options and requirements.file is None and not extras:
        return None
    shown = requirements.specs + ([specification["requirementsFile"]] if requirements.file else []) + extras
    log("INFO", "Installing required Python packages : %s" % redact(", ".join(shown)))
    variables = build_variables(os.environ)
    pip_settings = read_pip_settings(variables)
    key = environment_key(specification, requirements, extras, pip_settings, variables)
    for folder in (place.cache, place.own_cache):
        home = os.path.join(folder, "environments", key)
        if is_ready(home):
            log("INFO", "Using the environment that is there already: %s" % key[:12])
            progress.facts["environmentSeconds"] = 0
            return Environment(home)
    started = time.monotonic()
    cache = writable_cache(place)
    home = os.path.join(cache, "environments", key)
    try:
        build_environment(home, cache, requirements, extras, pip_settings, variables)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failed("Building a Python environment: the disk is full.")
        raise Failed("Building a Python environment: %s" % error)
    seconds = time.monotonic() - started
    progress.facts["environmentSeconds"] = round(seconds, 1)
    log("INFO", "Successfully installed required Python packages in %.1f s" % seconds)
    return Environment(home)


def is_ready(home):
    return os.path.exists(os.path.join(home, "environment.json")) and os.path.exists(
        os.path.join(home, "bin", "python")
    )


def writable_cache(place):
    """The cache, or a folder of this pod alone when the cache may only be read."""
    for folder in (place.cache, place.own_cache):
        try:
            os.makedirs(os.path.join(folder, "environments"), exist_ok=True)
            with tempfile.TemporaryFile(dir=os.path.join(folder, "environments")):
                return folder
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Failed("Building a Python environment: the disk is full.")
    raise Failed("Building a Python environment: there is no folder in the pod that can be written to.")


def environment_key(specification, requirements, extras, pip_settings, variables):
    """
    The hex digest of all that decides what is in an environment: what is asked for, the image's interpreter
    and packages, the platform, and where packages come from. Passwords in addresses are left out.
    """
    items = [item.strip() for item in specification["requirements"] if item.strip() != ""]
    if not any(item.startswith("-") for item in items):
        items = sorted(items)
    file = requirements.file
    content = {
        "format": ENVIRONMENT_FORMAT,
        "requirements": [redact(item) for item in items],
        "requirementsFile": None if file is None else redact(file.replace("\r\n", "\n")),
        "extras": extras,
        "python": [sys.version, os.path.realpath(sys.executable), sys.prefix, sysconfig.get_platform()],
        "library": sorted(os.path.basename(path) for path in glob.glob("/lib/ld-musl-*")),
        "image": [os.path.basename(info) for info in sorted(image_packages())],
        "pip": [
            [name, redact((text_if_there(value) if name == "constraint" else None) or value or "")]
            for name, value in pip_settings
            if name not in CONNECTING
        ],
        "uv": sorted([name, redact(value)] for name, value in variables.items() if DECISIVE.match(name)),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# pip's settings that say how to get to an index, not what is installed from it.
CONNECTING = {"cert", "client-cert", "proxy", "trusted-host", "keyring-provider"}
DECISIVE = re.compile(
    r"UV_(INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|INDEX_STRATEGY|PRERELEASE|RESOLUTION"
    r"|EXCLUDE_NEWER|CONSTRAINT|OVERRIDE|NO_BINARY.*|NO_BUILD.*|TORCH_BACKEND|CONFIG_FILE)$"
)


def image_folders():
    """Where the image's Python looks for packages: its own, a distribution's, a user's."""
    folders = list(site.getsitepackages())
    if os.path.isdir(site.getusersitepackages()):
        folders.append(site.getusersitepackages())
    return [folder for folder in folders if os.path.isdir(folder)]


def image_packages():
    """Paths of the records of the image's packages: `…/torch-2.1.0.dist-info`."""
    return [
        os.path.join(folder, name)
        for folder in image_folders()
        for name in os.listdir(folder)
        if name.endswith((".dist-info", ".egg-info"))
    ]


def build_environment(home, cache, requirements, extras, pip_settings, variables):
    """
    Made under another name and renamed when it is whole: what bears a key's name can be used. Two pods at
    once make it twice, and one of them finds it there in the end.
    """
    environments = os.path.dirname(home)
    for name in os.listdir(environments):
        if name.startswith(".making-"):
            remove_left_over(os.path.join(environments, name))
    scratch = tempfile.mkdtemp(prefix=".making-", dir=environments)
    try:
        making = os.path.join(scratch, "environment")
        packages = make_venv(making)
        # uv looks for settings in the folders above too; those are nobody's here. It stops at the first file.
        write_text(os.path.join(scratch, "uv.toml"), "")
        build = Build(making, packages, scratch, cache, requirements, extras, pip_settings, variables)
        install(build)
        if extras:
            write_kernel(making)
        move_scripts(os.path.join(making, "bin"), making, home)
        record = {"python": platform.python_version(), "createdAt": time.time()}
        write_text(os.path.join(making, "environment.json"), json.dumps(record))
        os.chmod(making, 0o755)
        try:
            os.rename(making, home)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not is_ready(home):
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class Build:
    """An empty environment, and what belongs in it."""

    def __init__(self, folder, packages, scratch, cache, requirements, extras, pip_settings, variables):
        self.folder = folder
        self.python = os.path.join(folder, "bin", "python")
        self.packages = packages
        self.scratch = scratch
        self.cache = cache
        self.requirements = requirements
        self.extras = extras
        self.pip_settings = pip_settings
        self.variables = variables


def make_venv(folder):
    """
    A virtual environment that sees the image's packages as well, also where the image's Python is one of
    another environment, which `--system-site-packages` would pass over. The folder of its own packages.
    """
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
    packages = sysconfig.get_path("purelib", scheme, vars={"base": folder, "platbase": folder})
    os.makedirs(os.path.join(folder, "bin"))
    os.makedirs(packages)
    os.symlink(base, os.path.join(folder, "bin", "python"))
    os.symlink("python", os.path.join(folder, "bin", "python3"))
    os.symlink("python", os.path.join(folder, "bin", "python%d.%d" % sys.version_info[:2]))
    os.symlink("lib", os.path.join(folder, "lib64"))
    version = platform.python_version()
    write_text(
        os.path.join(folder, "pyvenv.cfg"),
        "home = %s\nimplementation = CPython\nversion_info = %s\nversion = %s\n"
        "include-system-site-packages = false\n" % (os.path.dirname(base), version, version),
    )
    lines = ["import site; site.addsitedir(%r)\n" % path for path in image_folders()]
    write_text(os.path.join(packages, "_bodywork_image.pth"), "".join(lines))
    return packages


def write_kernel(folder):
    """The image's own may name another Python."""
    kernel = os.path.join(folder, "share", "jupyter", "kernels", "python3")
    os.makedirs(kernel, exist_ok=True)
    argv = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    content = {"argv": argv, "display_name": "Python 3", "language": "python"}
    path = os.path.join(kernel, "kernel.json")
    if os.path.lexists(path):
        os.unlink(path)  # It may be one with the installer's cache.
    write_text(path, json.dumps(content))


def move_scripts(folder, before, after):
    """
    Console scripts name their interpreter by its full path: makes them name the one in the folder's later
    place. Each is replaced by a new file, for the old one may be shared with the installer's cache.
    """
    source, target = os.fsencode(before), os.fsencode(after)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 1 << 20:
            continue
        with open(path, "rb") as file:
            content = file.read()
        if not content.startswith(b"#!") or source not in content:
            continue
        with open(path + ".moved", "wb") as file:
            file.write(content.replace(source, target))
        os.chmod(path + ".moved", stat.S_IMODE(os.stat(path).st_mode))
        os.replace(path + ".moved", path)


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def remove_left_over(path):
    try:
        if time.time() - os.lstat(path).st_mtime > LEFT_OVER:
            remove_tree(path)
    except OSError:
        pass  # Of another user, or another pod is at it.


# ---- Requirements, as src/environments reads them


class Requirements:
    """
    `specs` are requirements, `options` pairs of an option of pip's and its value, `file` the text of the
    file.
    """

    def __init__(self, specs, options, file):
        self.specs = specs
        self.options = options
        self.file = file


VALUE_OPTIONS = set(
    "index-url extra-index-url find-links trusted-host cert client-cert proxy no-binary only-binary "
    "requirement constraint editable target prefix root src timeout retries upgrade-strategy progress-bar "
    "root-user-action exists-action log cache-dir config-settings global-option build-option install-option "
    "use-feature use-deprecated platform python-version implementation abi report keyring-provider".split()
)
LONG_NAMES = {
    "-i": "index-url",
    "--pypi-url": "index-url",
    "-f": "find-links",
    "-r": "requirement",
    "-c": "constraint",
    "-e": "editable",
    "-t": "target",
    "-C": "config-settings",
    "--config-setting": "config-settings",
    "-U": "upgrade",
    "-I": "ignore-installed",
    "-q": "quiet",
    "-v": "verbose",
}


def read_requirements(specification, root):
    """
    The items are pip's arguments: `--extra-index-url URL` may be one item, two, or joined by `=`. Refused is
    what an environment that is shared between commits and stages can't have.
    """
    specs, options = [], []
    words = [word for item in specification["requirements"] for word in words_of(item)]
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            specs.append(refuse_local_path(word, "requirements"))
            continue
        name, value = split_option(word)
        if name in VALUE_OPTIONS and value is None and words:
            value = words.pop(0)
        if name == "editable":
            specs.append(refuse_local_path(value or "", "requirements"))
        else:
            options.append(refuse_option(name, value, "requirements"))
    file = requirements_file(specification, root)
    if file is not None:
        refuse_in_file(file)
    return Requirements(specs, options, file)


def requirements_file(specification, root):
    path = specification.get("requirementsFile")
    if path is None:
        return None
    resolved = locate(root, path, specification["stage"])
    try:
        with open(resolved, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise Failed("cannot read the requirements file %s: %s" % (path, error.strerror))


def words_of(item):
    trimmed = item.strip()
    if not trimmed.startswith("-"):
        return [trimmed] if trimmed else []
    return trimmed.split(None, 1)


def split_option(word):
    if not word.startswith("--"):
        short, rest = word[:2], re.sub("^=", "", word[2:])
        name = LONG_NAMES.get(short, short[1:])
        return name, rest if rest != "" and name in VALUE_OPTIONS else None
    long, equals, value = word.partition("=")
    return LONG_NAMES.get(long, long[2:]), value if equals else None


def refuse_option(name, value, where):
    shown = "--%s%s" % (name, "" if value is None else " " + value)
    if name in ("requirement", "constraint"):
        raise Failed("%s has \"%s\", a file that the environment's key can't know." % (where, redact(shown)))
    if name in ("target", "prefix", "root", "src"):
        raise Failed('%s has "%s", another place to install to.' % (where, redact(shown)))
    if name == "find-links" and not re.match(r"(/|[A-Za-z][A-Za-z0-9+.-]*:/)", value or ""):
        raise Failed(
            "%s has \"%s\", a folder of the repository, whose content the environment's key can't know."
            % (where, redact(shown))
        )
    return name, value


def refuse_local_path(spec, where):
    target = spec[spec.index("@ ") + 2 :].strip() if "@ " in spec else spec
    path = re.sub(r"^file:(//[^/]*)?", "", target) if target.startswith("file:") else target
    is_archive = re.search(r"\.(whl|tar\.gz|tgz|tar\.bz2|zip)(\[.*\])?$", path)
    if not is_relative_path(path) and not (path.startswith("/") and not is_archive):
        return spec
    raise Failed(
        "%s has \"%s\", a path whose content the environment's key can't know; "
        "an environment is shared between commits." % (where, redact(spec))
    )


def is_relative_path(target):
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", target) or target.startswith("/"):
        return False
    if target.startswith((".", "~")):
        return True
    if re.match(r"[^\s;\[<>=!~@]+\.(whl|tar\.gz|tgz|tar\.bz2|zip)$", target):
        return True
    return re.match(r"[A-Za-z0-9._-]+/\S*$", target) is not None


def refuse_in_file(text):
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if line == "":
            continue
        if not line.startswith("-"):
            refuse_local_path(re.sub(r"\s--\S.*$", "", line), "The requirements file")
            continue
        words = words_of(line)
        name, value = split_option(words[0])
        if value is None and len(words) > 1:
            value = words[1]
        if name == "editable":
            refuse_local_path(value or "", "The requirements file")
        else:
            refuse_option(name, value, "The requirements file")


def has_hashes(text):
    return text is not None and re.search(r"^[^#\n]*\s--hash[= ]", text, re.M) is not None


# ---- The image's settings of pip and uv


FOR_INSTALLERS = re.compile(
    r"(PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR"
    r"|(HTTP|HTTPS|ALL|NO|FTP)_PROXY|(http|https|all|no|ftp)_proxy"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|SSL_CLIENT_CERT|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|SSH_AUTH_SOCK|GIT_SSL_CAINFO|GIT_SSL_CAPATH|GIT_SSH|GIT_SSH_COMMAND|SHELL|XDG_[A-Z]+_HOME|NETRC"
    r"|CC|CXX|CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|LD_LIBRARY_PATH|PKG_CONFIG_PATH|CUDA_HOME|CARGO_HOME"
    r"|RUSTUP_HOME|PIP_[A-Z0-9_]+|UV_[A-Z0-9_]+)$"
)
REDIRECTING = re.compile(
    r"(PIP_(TARGET|PREFIX|ROOT|USER|REQUIREMENT|EDITABLE|SRC|LOG|REPORT|REQUIRE_VIRTUALENV|PYTHON|DRY_RUN)"
    r"|UV_(PYTHON|SYSTEM_PYTHON|BREAK_SYSTEM_PACKAGES|TARGET|PREFIX|PROJECT|PROJECT_ENVIRONMENT|WORKING_DIR"
    r"|WORKING_DIRECTORY|COMPILE_BYTECODE|REQUIREMENTS|DRY_RUN|LOCKED|FROZEN))$"
)


def build_variables(machine):
    """What a build may see of the container's variables; no secret of a stage is ever among them."""
    return {
        name: value
        for name, value in machine.items()
        if FOR_INSTALLERS.match(name) and not REDIRECTING.match(name)
    }


def read_pip_settings(variables):
    """pip's settings as options: its files, the weaker first, then `PIP_…` variables. Starts no process."""
    settings = {}
    for path in pip_files(variables):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(text_if_there(path) or "")
        except configparser.Error:
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                for name, value in parser.items(section):
                    settings[name.lower().replace("_", "-")] = value or ""
    for name, value in variables.items():
        if name.startswith("PIP_") and value != "":
            settings[name[len("PIP_") :].lower().replace("_", "-")] = value
    return [option for name, value in settings.items() for option in options_of(name, value)]


def pip_files(variables):
    own = variables.get("PIP_CONFIG_FILE")
    if own == "/dev/null":
        return []
    home = variables.get("HOME", "/nonexistent")
    user = [
        os.path.join(home, ".pip", "pip.conf"),
        os.path.join(variables.get("XDG_CONFIG_HOME", os.path.join(home, ".config")), "pip", "pip.conf"),
    ]
    shared = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf"]
    return shared + ([own] if own else user + [os.path.join(sys.prefix, "pip.conf")])


LIST_SETTINGS = {"extra-index-url", "find-links", "trusted-host", "no-binary", "only-binary"}
SWITCH_SETTINGS = {"pre", "no-index", "require-hashes", "no-deps"}
SINGLE_SETTINGS = {"index-url", "cert", "client-cert", "proxy", "keyring-provider", "constraint"}


def options_of(name, value):
    if name in SINGLE_SETTINGS:
        return [(name, value)]
    if name in LIST_SETTINGS:
        return [(name, one) for one in value.split()]
    if name in SWITCH_SETTINGS and re.match(r"(1|y|yes|t|true|on)$", value, re.I):
        return [(name, None)]
    return []


# Option → the variable by which uv is told it, what divides several, and the value of one that has none.
BY_VARIABLE = {
    "index-url": ("UV_DEFAULT_INDEX", None, None),
    "extra-index-url": ("UV_INDEX", " ", None),
    "find-links": ("UV_FIND_LINKS", ",", None),
    "trusted-host": ("UV_INSECURE_HOST", " ", None),
    "cert": ("SSL_CERT_FILE", None, None),
    "client-cert": ("SSL_CLIENT_CERT", None, None),
    "proxy": ("HTTPS_PROXY", None, None),
    "pre": ("UV_PRERELEASE", None, "allow"),
    "keyring-provider": ("UV_KEYRING_PROVIDER", None, None),
    "constraint": ("UV_CONSTRAINT", None, None),
}
BY_FLAG = {"no-index", "no-binary", "only-binary", "no-deps", "require-hashes", "no-build-isolation"}
# In a new environment these change nothing about what is installed.
WITHOUT_EFFECT = set(
    "upgrade upgrade-strategy ignore-installed force-reinstall quiet verbose user no-cache-dir cache-dir "
    "no-input no-color progress-bar no-warn-script-location timeout no-warn-conflicts "
    "no-python-version-warning disable-pip-version-check root-user-action break-system-packages retries "
    "use-pep517 compile no-compile "
    "exists-action isolated".split()
)


def uv_arguments(pip_settings, asked, variables):
    """
    pip's settings, then the stage's options, in uv's words: arguments, variables, and the options that uv has
    no word for. uv's own variables win over pip's settings, and a stage's options over both.
    """
    settings = [
        option for option in pip_settings if not is_overruled(option[0], variables) and is_there(option)
    ]
    options = settings + asked
    env = dict(variables)
    for name, (variable, separator, default) in BY_VARIABLE.items():
        values = [value or default or "" for found, value in options if found == name]
        if not values:
            continue
        if separator is None:
            env[variable] = values[-1]
        else:
            env[variable] = separator.join(([env[variable]] if variable in env else []) + values)
    if "HTTPS_PROXY" in env and "HTTPS_PROXY" not in variables:
        env["HTTP_PROXY"] = env["HTTPS_PROXY"]
    env.setdefault("UV_INDEX_STRATEGY", "unsafe-first-match")
    env["GIT_TERMINAL_PROMPT"] = "0"
    args = []
    for name, value in options:
        if name in BY_FLAG:
            args += ["--" + name] + ([] if value is None else [value])
    known = set(BY_VARIABLE) | BY_FLAG | WITHOUT_EFFECT
    return args, env, [name for name, _ in asked if name not in known]


def is_overruled(name, variables):
    def has(*names):
        return any(one in variables for one in names)

    if name == "index-url":
        return has("UV_DEFAULT_INDEX", "UV_INDEX_URL") or uv_settings_name_indexes(variables)
    if name == "extra-index-url":
        return has("UV_INDEX", "UV_EXTRA_INDEX_URL") or uv_settings_name_indexes(variables)
    if name == "proxy":
        return has("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    return name in BY_VARIABLE and has(BY_VARIABLE[name][0])


def is_there(option):
    """pip warns of a folder or a file that is not there, uv gives up."""
    name, value = option
    is_local = name in ("find-links", "cert", "constraint") and (value or "").startswith("/")
    return not is_local or os.path.exists(value)


def uv_settings_name_indexes(variables):
    user = variables.get("XDG_CONFIG_HOME") or os.path.join(variables.get("HOME", "/nonexistent"), ".config")
    files = [variables.get("UV_CONFIG_FILE") or os.path.join(user, "uv", "uv.toml"), "/etc/uv/uv.toml"]
    pattern = re.compile(r"^\s*(\[\[(pip\.)?index\]\]|(default-)?index|index-url)", re.M)
    return any(pattern.search(text_if_there(path) or "") for path in files)


# ---- Installing


def install(build):
    """By uv where it can be had and knows every option, else by pip."""
    args, env, unknown = uv_arguments(build.pip_settings, build.requirements.options, build.variables)
    if unknown:
        options = ", ".join("--" + name for name in unknown)
        return install_by_pip(build, "Built by pip, for uv does not know %s: it takes longer." % options)
    uv, why_not = find_uv(build)
    if uv is None:
        return install_by_pip(build, "Built by pip, for uv can't be had: %s" % redact(why_not))
    env.setdefault("UV_CACHE_DIR", os.path.join(build.cache, "uv-cache"))
    # On the same volume as the environments: a link is as good as a copy, and is made at once.
    env.setdefault("UV_LINK_MODE", "hardlink")
    env["UV_PYTHON_DOWNLOADS"] = "never"
    if "SSL_CERT_FILE" not in env and "SSL_CERT_DIR" not in env:
        bundle = certificates()
        env.update({"SSL_CERT_FILE": bundle} if bundle else {})
    stand_ins = stand_in_for_image(build.packages)
    for files, specs, require_hashes in rounds(build):
        command = [uv, "pip", "install", "--python", build.python]
        command += ["--require-hashes"] if require_hashes else []
        run_installer("uv", command + args + files, env, build.scratch, specs)
    for folder in stand_ins:
        if os.path.exists(os.path.join(folder, STAND_IN)):
            shutil.rmtree(folder)


def certificates():
    """The image's own, for uv brings others along, which know no private authority."""
    found = [
        ssl.get_default_verify_paths().cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ]
    return next((path for path in found if path and os.path.exists(path)), None)


STAND_IN = "bodywork-stand-in"


def stand_in_for_image(packages):
    """
    uv does not look at what an environment sees of the image, and would install again what is there already:
    another torch than the one that the image is about. So it is shown a record of each package without its
    files. Whatever is removed or replaced is this record only; those that are left are removed afterwards.
    The folders of the records.
    """
    made = []
    for info in image_packages():
        name = re.sub(r"\.(dist|egg)-info$", "", os.path.basename(info))
        text = None
        for path in (os.path.join(info, "METADATA"), os.path.join(info, "PKG-INFO"), info):
            text = text if text is not None else text_if_there(path)
        found = [re.search(r"^%s:\s*(\S+)" % field, text or "", re.M | re.I) for field in ("Name", "Version")]
        if None in found:
            continue
        name, version = (one.group(1) for one in found)
        folder = os.path.join(packages, "%s-%s.dist-info" % (re.sub(r"[-_.]+", "_", name).lower(), version))
        if os.path.exists(folder):
            continue
        os.mkdir(folder)
        files = {"METADATA": text, "INSTALLER": "image\n", STAND_IN: ""}
        origin = text_if_there(os.path.join(info, "direct_url.json"))
        files.update({} if origin is None else {"direct_url.json": origin})
        record = "".join("%s/%s,,\n" % (os.path.basename(folder), file) for file in list(files) + ["RECORD"])
        for file, content in dict(files, RECORD=record).items():
            write_text(os.path.join(folder, file), content)
        made.append(folder)
    return made


def find_uv(build):
    """The program, or None and why it can't be had."""
    for folder in build.variables.get("PATH", "").split(os.pathsep):
        program = os.path.join(folder, "uv")
        if folder.startswith("/") and uv_version(program, build.variables) >= (0, 5):
            return program, ""
    library = "-musl" if glob.glob("/lib/ld-musl-*") else ""
    ours = os.path.join(build.cache, "uv", UV_VERSION, sysconfig.get_platform() + library, "uv")
    if uv_version(ours, build.variables) != (0, 0):
        return ours, ""
    print("Installing uv %s, the tool that builds environments (once)" % UV_VERSION)
    target = os.path.join(build.scratch, "uv")
    command = "pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target".split()
    command += [target, "uv==" + UV_VERSION]
    done = quietly([sys.executable, "-m"] + command, build)
    if done.returncode != 0 and "No module named" in done.stdout:
        with_pip = os.path.join(build.scratch, "with-pip")
        made = quietly([sys.executable, "-m", "venv", with_pip], build)
        if made.returncode == 0:
            done = quietly([os.path.join(with_pip, "bin", "python"), "-m"] + command, build)
    program = os.path.join(target, "bin", "uv")
    if done.returncode == 0 and os.path.exists(program):
        os.makedirs(os.path.dirname(ours), exist_ok=True)
        os.replace(program, ours)
        if uv_version(ours, build.variables) != (0, 0):
            return ours, ""
        return None, "uv %s does not run in this image" % UV_VERSION
    lines = [line for line in done.stdout.splitlines() if line.strip() != ""]
    errors = [line for line in lines if re.match(r"ERROR|.*No module", line)]
    return None, (errors[:1] or lines[-1:] or ["pip could not install it"])[0]


def uv_version(program, variables):
    if not os.path.exists(program):
        return (0, 0)
    try:
        done = subprocess.run(
            [program, "--version"],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.match(rb"uv (\d+)\.(\d+)", done.stdout)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def quietly(command, build, limit=300):
    try:
        return subprocess.run(
            command,
            env=build.variables,
            cwd=build.scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            universal_newlines=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(command, 1, stdout=str(error))


def rounds(build):
    """
    All at once, so that versions are chosen together; but what we add ourselves has no hashes, so it comes
    second when the requirements demand them. Requirements go by files, for arguments can be read by every
    process.
    """
    requirements = build.requirements
    require_hashes = has_hashes(requirements.file)

    def write(name, specs):
        write_text(os.path.join(build.scratch, name), "\n".join(specs) + "\n")
        return ["-r", name]

    own = requirements.specs + ([] if require_hashes else build.extras)
    lines = [line for line in (requirements.file or "").splitlines() if re.match("[A-Za-z0-9]", line)]
    files = write("requirements", own) if own else []
    files = files + (write("requirements_file", [requirements.file]) if requirements.file is not None else [])
    found = [(files, own + lines, require_hashes)] if files else []
    if require_hashes and build.extras:
        found.append((write("extras", build.extras), build.extras, False))
    return found


def install_by_pip(build, notice):
    """
    By the image's pip, which sees the image's packages through the environment; else by the one in Python's
    library.
    """
    print(notice)
    pip = [build.python, "-m", "pip"]
    if quietly(pip + ["--version"], build).returncode != 0:
        quietly([build.python, "-I", "-m", "ensurepip", "--default-pip"], build)
        if quietly(pip + ["--version"], build).returncode != 0:
            raise Failed(
                "Building a Python environment: there is neither uv nor pip for %s in this image."
                % sys.executable
            )
    env = dict(build.variables, GIT_TERMINAL_PROMPT="0")
    env.setdefault("PIP_CACHE_DIR", os.path.join(build.cache, "pip-cache"))
    asked = build.requirements.options
    for name in ("index-url", "extra-index-url", "find-links", "proxy"):
        values = [value for found, value in asked if found == name and value is not None]
        if not values:
            continue
        before = [value for found, value in build.pip_settings if found == name]
        is_list = name in ("extra-index-url", "find-links")
        env["PIP_" + name.replace("-", "_").upper()] = " ".join(before + values if is_list else values[-1:])
    by_variable = ("index-url", "extra-index-url", "find-links", "proxy", "user")
    args = [
        ("-" if len(name) == 1 else "--") + name + ("" if value is None else "=" + value)
        for name, value in asked
        if name not in by_variable
    ]
    command = (
        pip + "install --disable-pip-version-check --no-compile --no-input --no-warn-script-location".split()
    )
    for files, specs, _ in rounds(build):
        run_installer("pip", command + args + files, env, build.scratch, specs)


def run_installer(tool, command, env, folder, specs):
    """Runs it to its end; what it prints is passed on by lines, without passwords."""
    process = subprocess.Popen(
        command,
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    late = []

    def end():
        late.append(True)
        signal_group(process.pid, signal.SIGKILL)

    timer = threading.Timer(INSTALLER_LIMIT, end)
    timer.start()
    said = []
    try:
        for data in process.stdout:
            line = redact(data.decode("utf-8", "replace").rstrip())
            print(line)
            said.append(line)
            del said[:-2000]
        code = process.wait()
    finally:
        timer.cancel()
        # Where there are no other threads, every signal is for this one.
        timer.join()
        signal_group(process.pid, signal.SIGKILL)
    if code == 0:
        return
    reason = essential_lines(said)
    if re.search(r"No space left on device|\(os error 28\)", "\n".join(said)):
        raise Failed("Building a Python environment: the disk is full.")
    if late:
        raise Failed("Building a Python environment took %s over 30 minutes." % tool)
    if code < 0:
        raise Failed("%s was ended by %s while it built a Python environment." % (tool, signal_name(-code)))
    culprits = ['"%s"' % redact(spec) for spec in specs_named_in("\n".join(reason), specs)]
    raise Failed("%s could not install %s." % (tool, ", ".join(culprits) or "the requirements"))


def essential_lines(lines):
    """The installer's own reason: from its first error on."""
    starts = [index for index, line in enumerate(lines) if re.match(r"\s*(error|ERROR|×)", line)]
    return lines[starts[0] :] if starts else lines


def specs_named_in(reason, specs):
    words = set(re.findall(r"[a-z0-9][a-z0-9-]*", re.sub(r"[-_.]+", "-", reason.lower())))
    return [spec for spec in specs if redact(spec) in reason or name_of_spec(spec) in words]


def name_of_spec(spec):
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?![A-Za-z0-9._:/+-])", spec)
    return re.sub(r"[-_.]+", "-", found.group(1).lower()) if found else ""


# ---- The module


def stage_variables(specification, environment, root, module, inputs):
    """
    The container's variables, and what the engine promises besides. The storage's keys are not the stage's.
    """
    folder = os.path.dirname(module)
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("BODYWORK_STAGE_SPECIFICATION", "BODYWORK_WANTED_PYTHON")
        and not name.startswith("BODYWORK_STORAGE_")
    }
    variables["PYTHONPATH"] = root
    variables["PYTHONUNBUFFERED"] = "1"
    if environment is not None:
        binaries = os.path.join(environment.folder, "bin")
        variables["PATH"] = os.pathsep.join([binaries] + ([variables["PATH"]] if "PATH" in variables else []))
        variables["VIRTUAL_ENV"] = environment.folder
    for name, path in specification["outputs"].items():
        variables["BODYWORK_OUTPUT_" + variable_name(name)] = os.path.normpath(os.path.join(folder, path))
    for name, path in inputs.items():
        variables["BODYWORK_INPUT_" + variable_name(name)] = path
    return variables


def variable_name(name):
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def run_module(specification, place, environment, module, variables, signals):
    folder, name = os.path.split(module)
    python = sys.executable if environment is None else environment.python
    if name.endswith(".ipynb"):
        log("INFO", "Attempting to run notebook = %s" % specification["module"])
        html = os.path.join(place.temporary, "notebook.html")
        command = [python, os.path.join(place.program, "run_notebook.py"), name, html, "[]"]
        # What the image's packages bring along beside their code lies in its own folders; ours come first.
        shares = [os.path.join(prefix, "share", "jupyter") for prefix in (environment.folder, sys.prefix)]
        shares += [variables["JUPYTER_PATH"]] if variables.get("JUPYTER_PATH") else []
        variables = dict(variables, JUPYTER_PATH=os.pathsep.join(shares))
    else:
        log("INFO", "Attempting to run module = %s" % specification["module"])
        command = [python, name]
    command += specification["args"]
    limit = specification.get("timeoutSeconds")
    try:
        ended = run_program(command, folder, variables, limit, signals)
    except OSError as error:
        raise Failed("cannot start %s: %s" % (specification["module"], error))
    if ended.timed_out:
        raise Failed(
            "timed out after %d s" % limit,
            shown="Timeout exceeded when running %s (%d s)" % (specification["module"], limit),
        )
    if signals.received is not None and (specification["kind"] == "batch" or ended.code != 0):
        # It may have ended in good order, but not because it was done.
        raise Failed(signal_name(signals.received))
    if ended.code == 0:
        return
    code = ended.code if ended.signal is None else -ended.signal
    shown = "CalledProcessError(%d, %r)" % (code, command)
    if ended.out_of_memory:
        limit = memory_limit()
        reason = "out of memory" if limit is None else "out of memory (limit %d MiB)" % limit
        raise Failed(reason, shown="%s, %s" % (shown, reason))
    raise Failed("exit %d" % code if ended.signal is None else signal_name(ended.signal), shown=shown)


# ---- Inputs and outputs, as src/artifacts keeps them


def place_inputs(specification, place, storage, root):
    """Input name → absolute path of its private copy."""
    placed = {}
    for item in specification["inputs"]:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(specification["module"]), item["path"]))
        target = locate(root, path, specification["stage"])
        if storage is None:
            raise Failed(missing(item["digest"]))
        making = os.path.join(place.temporary, "input-" + secrets.token_hex(8))
        try:
            if not storage.fetch(item, making):
                raise Failed(missing(item["digest"]))
            found = describe_tree(making)
            # The copy is what will be used, so the copy is what is verified.
            if (found["digest"], found["kind"]) != (item["digest"], item["kind"]):
                raise Failed(damaged(item["digest"]))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            remove_tree(target)
            os.rename(making, target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Failed("Cannot put an artifact at %s: the disk is full." % target)
            raise Failed("Cannot put an artifact at %s: %s." % (target, error))
        finally:
            remove_tree(making)
        placed[item["name"]] = target
    return placed


def missing(digest):
    return "The artifact %s is not in the store." % digest


def damaged(digest):
    return "The artifact %s is damaged: what is stored is not what was collected." % digest


def collect_outputs(specification, place, storage, root, module):
    """What the stage has made, stored; as a run's record has it."""
    outputs = []
    for name, path in specification["outputs"].items():
        making = storage.temporary()
        try:
            source = output_path(root, os.path.dirname(module), path)
            copy_tree(source, making, root, path)
            artifact = describe_tree(making)
            if artifact["kind"] == "file":
                os.chmod(making, 0o644)
            storage.keep(making, artifact)
        except Failed as failure:
            raise Failed('output "%s" (%s): %s' % (name, path, failure.reason))
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "the disk is full" if is_full else "%s" % error
            raise Failed('output "%s" (%s): Cannot collect the output %s: %s.' % (name, path, path, why))
        finally:
            for path_there in glob.glob(glob.escape(making) + "*"):
                remove_tree(path_there)
        outputs.append(dict(name=name, path=node_normalized(path), **artifact))
    return outputs


def node_normalized(path):
    """Node keeps the slash at the end."""
    return posixpath.normpath(path) + ("/" if path.endswith("/") and posixpath.normpath(path) != "/" else "")


def output_path(root, folder, path):
    below = os.path.relpath(os.path.realpath(folder), os.path.realpath(root))
    resolved = resolve_inside(
        root, path if path.startswith("/") else os.path.normpath(os.path.join(below, path))
    )
    if resolved is None:
        raise Failed(
            "Cannot collect the output: %s leads outside the repository, or is a link that leads nowhere."
            % path
        )
    mode = os.lstat(resolved).st_mode if os.path.lexists(resolved) else 0
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise Failed("The stage succeeded, but it has not written its output %s." % path)
    return resolved


def copy_tree(source, target, root, label):
    """
    Copies a file, or a folder with all that is in it, to `target`, which must not exist. A link inside the
    folder that leads to a place in the folder is kept as a relative link; every other link is refused.
    """
    real = os.path.realpath(os.fsencode(source))
    if not is_inside(os.path.realpath(os.fsencode(root)), real):
        raise outside(label, "is not inside the repository")
    if os.path.isdir(real):
        copy_folder(real, os.fsencode(target), real, label)
    else:
        copy_file(real, os.fsencode(target), label)


def copy_folder(source, target, top, label):
    os.mkdir(target, 0o755)
    folders = []
    for entry in os.scandir(source):
        path, copy = os.path.join(source, entry.name), os.path.join(target, entry.name)
        shown = "%s/%s" % (label, os.fsdecode(entry.name))
        if entry.is_symlink():
            copy_link(path, copy, top, shown)
        elif entry.is_dir():
            folders.append((path, copy, shown))
        else:
            copy_file(path, copy, shown)
    for path, copy, shown in folders:
        copy_folder(path, copy, top, shown)


def copy_file(source, target, label):
    # A pipe keeps nobody waiting.
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise refusal(label, "is a special file (a pipe, socket or device)")
        with open(target, "xb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
    os.chmod(target, 0o755 if mode & 0o100 else 0o644)


def copy_link(path, target, top, label):
    """Names what the link leads to in the end, from where the link is: that is right in the copy too."""
    try:
        os.stat(path)
    except OSError:
        raise refusal(label, "is a link that leads nowhere")
    goal = os.path.realpath(path)
    if not is_inside(top, goal):
        raise outside(label, "is a link to %s, outside the output" % os.fsdecode(goal))
    os.symlink(os.path.relpath(goal, os.path.dirname(path)), target)


def refusal(label, what):
    return Failed("Cannot collect the output: %s %s." % (label, what))


outside = refusal


def describe_tree(path):
    """
    A file's digest is that of its bytes. A folder's is that of its listing: for each entry, sorted by path,
    mode, digest and path below the folder (`100644 <64 hex> a/b`), each ended by NUL.
    """
    top = os.fsencode(path)
    if not os.path.isdir(top) or os.path.islink(top):
        digest, count = hash_file(top)
        return {"digest": "sha256:" + digest, "kind": "file", "bytes": count}
    lines = sorted(listing(top, b""))
    total = hashlib.sha256()
    for below, mode, digest, _ in lines:
        total.update(b"%s %s %s\0" % (mode, digest.encode(), below))
    count = sum(line[3] for line in lines)
    return {"digest": "sha256:" + total.hexdigest(), "kind": "folder", "bytes": count}


def listing(top, folder):
    for entry in os.scandir(os.path.join(top, folder) if folder else top):
        below = os.path.join(folder, entry.name) if folder else entry.name
        if entry.is_symlink():
            goal = os.readlink(entry.path)
            yield below, b"120000", hashlib.sha256(goal).hexdigest(), 0
        elif entry.is_dir():
            yield below, b"040000", "", 0
            for line in listing(top, below):
                yield line
        elif entry.is_file():
            digest, count = hash_file(entry.path)
            is_executable = entry.stat(follow_symlinks=False).st_mode & 0o100
            yield below, b"100755" if is_executable else b"100644", digest, count
        else:
            yield below, b"000000", "", 0


def hash_file(path):
    digest, count = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
            count += len(chunk)
    return digest.hexdigest(), count


def artifact_key(digest):
    if not re.match(r"sha256:[0-9a-f]{64}$", digest):
        raise Failed(missing(digest))
    name = digest[len("sha256:") :]
    return "artifacts/sha256/%s/%s" % (name[:2], name)


# ---- Where artifacts and large commits are kept


def open_storage(storage, place):
    if storage is None:
        return None
    if storage["kind"] == "claim":
        return ClaimStorage(place.storage)
    return BucketStorage(storage, place)


class ClaimStorage:
    """A volume: `artifacts/sha256/ab/<64 hex>` is a file, or a folder with all that is in it."""

    def __init__(self, folder):
        self.folder = folder

    def open(self, key):
        path = resolve_inside(self.folder, key)
        if path is None or not os.path.isfile(path):
            raise Failed("the commit is not in the storage: there is no %s" % key)
        return open(path, "rb")

    def fetch(self, artifact, target):
        """False when it is not there."""
        stored = os.path.join(self.folder, artifact_key(artifact["digest"]))
        if not os.path.lexists(stored):
            return False
        try:
            copy_tree(stored, target, stored, "it")
        except (Failed, FileNotFoundError):
            raise Failed(damaged(artifact["digest"]))
        return True

    def temporary(self):
        """A name that nothing has, on the same volume."""
        making = os.path.join(self.folder, "artifacts", "making")
        os.makedirs(making, exist_ok=True)
        for name in os.listdir(making):
            remove_left_over(os.path.join(making, name))
        return os.path.join(making, secrets.token_hex(8))

    def keep(self, temporary, artifact):
        """
        Two that keep the same content meet here: one is renamed into place, the other finds it there. What is
        there and is no longer what its name says goes.
        """
        stored = os.path.join(self.folder, artifact_key(artifact["digest"]))
        if self.is_whole(stored, artifact):
            return
        os.makedirs(os.path.dirname(stored), exist_ok=True)
        sync_tree(temporary)
        try:
            if os.path.lexists(stored):
                os.rename(stored, temporary + ".damaged")
            os.rename(temporary, stored)
        except OSError as error:
            others = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if error.errno not in others or not self.is_whole(stored, artifact):
                raise

    def is_whole(self, stored, artifact):
        try:
            return os.path.lexists(stored) and describe_tree(stored) == artifact
        except OSError:
            return False


def sync_tree(path):
    """Puts it on the disk, and takes the right to write from its files."""
    if not os.path.isdir(path):
        sync(path)
        return
    for folder, _, names in os.walk(path):
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                sync(os.path.join(folder, name))


def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(descriptor, 0o555 if os.fstat(descriptor).st_mode & 0o100 else 0o444)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BucketStorage:
    """
    A bucket: `artifacts/sha256/ab/<64 hex>` is a file's bytes, or a tar archive of a folder. Whatever it is,
    its digest is that of its content.
    """

    def __init__(self, storage, place):
        self.bucket = Bucket(storage)
        self.folder = place.temporary

    def temporary(self):
        return os.path.join(self.folder, "stored-" + secrets.token_hex(8))

    def open(self, key):
        path = self.temporary()
        if not self.bucket.download(key, path):
            raise Failed("the commit is not in the storage: there is no %s" % key)
        return open(path, "rb")

    def fetch(self, artifact, target):
        if artifact["kind"] == "file":
            return self.bucket.download(artifact_key(artifact["digest"]), target)
        path = target + ".tar"
        try:
            if not self.bucket.download(artifact_key(artifact["digest"]), path):
                return False
            os.mkdir(target)
            try:
                unpack_folder(path, target)
            except (tarfile.TarError, EOFError, ValueError):
                raise Failed(damaged(artifact["digest"]))
            return True
        finally:
            remove_tree(path)

    def keep(self, source, artifact):
        key = artifact_key(artifact["digest"])
        if self.bucket.has(key):
            return
        if artifact["kind"] == "file":
            self.bucket.upload(source, key)
            return
        path = source + ".tar"
        try:
            pack_folder(source, path)
            self.bucket.upload(path, key)
        finally:
            remove_tree(path)


def pack_folder(folder, path):
    with tarfile.open(
        path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(os.path.join(folder, name), arcname=name, filter=without_owner)


def without_owner(member):
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def unpack_folder(path, target):
    """As `unpack`, for archives of our own."""
    links = []
    with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            made = os.path.join(os.fsencode(target), *safe_parts(member.name))
            os.makedirs(made if member.isdir() else os.path.dirname(made), exist_ok=True)
            if member.issym():
                links.append((made, member.linkname))
            elif member.isreg():
                write_member(archive.extractfile(member), made, member.mode)
            elif not member.isdir():
                raise ValueError("%s is neither a file, a folder nor a link" % member.name)
    for made, goal in links:
        os.symlink(goal.encode("utf-8", "surrogateescape"), made)


class Bucket:
    """What we need of the protocol of S3: path-style addresses, signed by version 4 of Amazon's procedure."""

    tries = 5
    # More than this goes in parts, so that what has to be sent again is never much.
    part_bytes = 64 << 20

    def __init__(self, storage):
        self.region = storage["region"]
        endpoint = urllib.parse.urlsplit(storage["endpoint"])
        self.host = endpoint.netloc
        self.base = "%s://%s" % (endpoint.scheme, endpoint.netloc)
        prefix = storage["prefix"].strip("/")
        self.path = "%s/%s/%s" % (
            endpoint.path.rstrip("/"),
            storage["bucket"],
            prefix + "/" if prefix else "",
        )
        self.is_encrypted = endpoint.scheme == "https"
        self.place = "bucket %s at %s" % (storage["bucket"], self.base)
        # The storage's own, or those that the container has anyway; never a mixture.
        has_own = os.environ.get("BODYWORK_STORAGE_ACCESS_KEY_ID")
        prefix = "BODYWORK_STORAGE_" if has_own else "AWS_"
        self.identity = os.environ.get(prefix + "ACCESS_KEY_ID")
        self.secret = os.environ.get(prefix + "SECRET_ACCESS_KEY")
        self.token = os.environ.get(prefix + "SESSION_TOKEN")
        if not self.identity or not self.secret:
            raise Failed(
                "cannot use the %s: the pod has no %sACCESS_KEY_ID and %sSECRET_ACCESS_KEY"
                % (self.place, prefix, prefix)
            )
        self.context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)

    def has(self, key):
        return self.send("HEAD", key, lambda answer: True) is not None

    def download(self, key, path):
        """False when there is nothing of that name."""

        def save(answer):
            with open(path, "wb") as file:
                shutil.copyfileobj(answer, file, 1 << 20)
                wanted = answer.headers.get("Content-Length")
                if wanted is not None and int(wanted) != file.tell():
                    raise http.client.IncompleteRead(b"")
            return True

        return self.send("GET", key, save) is not None

    def upload(self, path, key):
        size = os.path.getsize(path)
        if size <= self.part_bytes:
            self.send("PUT", key, None, Slice(path, 0, size))
            return
        step = max(self.part_bytes, -(-size // 10000))
        begun = self.send("POST", key, lambda answer: answer.read(), query={"uploads": ""})
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", begun or b"")
        if found is None:
            raise Failed("cannot write to the %s: it does not know multipart uploads" % self.place)
        upload = {"uploadId": unescape_xml(found.group(1).decode())}
        try:
            parts = []
            for number, offset in enumerate(range(0, size, step), 1):
                part = Slice(path, offset, min(step, size - offset))
                query = dict(upload, partNumber=str(number))
                tag = self.send("PUT", key, lambda answer: answer.headers["ETag"], part, query)
                parts.append("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>" % (number, tag))
            body = "<CompleteMultipartUpload>%s</CompleteMultipartUpload>" % "".join(parts)
            # It may answer 200 and say what went wrong after it.
            done = self.send("POST", key, lambda answer: answer.read(), body.encode(), upload)
            if b"<Error>" in (done or b"<Error>"):
                raise Failed("cannot write to the %s: %s" % (self.place, error_text(done or b"")))
        except BaseException:
            try:
                self.send("DELETE", key, None, query=upload)
            except Failed:
                pass
            raise

    def send(self, method, key, use, body=b"", query=None):
        """
        What `use` makes of the answer; None when the server has nothing of that name. Tries again what may
        pass.
        """
        for left in range(self.tries - 1, -1, -1):
            try:
                request = self.signed(method, key, body, query or {})
                with urllib.request.urlopen(request, timeout=60, context=self.context) as answer:
                    return use(answer) if use is not None else True
            except urllib.error.HTTPError as error:
                text = error.read()
                if error.code == 404 and b"NoSuchBucket" not in text and method in ("HEAD", "GET"):
                    return None
                # Who may not list a bucket is told this of what is not there.
                if error.code == 403 and method == "HEAD":
                    return None
                why = "HTTP %d%s" % (error.code, error_text(text))
                if error.code < 500 and error.code not in (408, 429) and b"RequestTimeout" not in text:
                    break
            except (http.client.HTTPException, OSError) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                why = str(getattr(error, "reason", None) or error) or type(error).__name__
            if left > 0:
                time.sleep(2 ** (self.tries - left) / 4)
        doing = "read from" if method in ("HEAD", "GET") else "write to"
        raise Failed("cannot %s the %s: %s" % (doing, self.place, why))

    def signed(self, method, key, body, query):
        path = urllib.parse.quote(self.path + key, safe="/~")
        parameters = "&".join(
            "%s=%s" % (urllib.parse.quote(name, safe="~"), urllib.parse.quote(value, safe="~"))
            for name, value in sorted(query.items())
        )
        if isinstance(body, Slice):
            digest = "UNSIGNED-PAYLOAD" if self.is_encrypted else body.digest()
            data, length = body.open(), body.size
        else:
            digest = hashlib.sha256(body).hexdigest()
            data, length = body or None, len(body)
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {"host": self.host, "x-amz-content-sha256": digest, "x-amz-date": now}
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = ";".join(sorted(headers))
        lines = [method, path, parameters]
        lines += ["%s:%s" % (name, headers[name]) for name in sorted(headers)] + ["", names, digest]
        scope = "%s/%s/s3/aws4_request" % (now[:8], self.region)
        summary = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        signing = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, summary])
        signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
        headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            self.identity,
            scope,
            names,
            signature,
        )
        if method in ("PUT", "POST"):
            headers["Content-Length"] = str(length)
            headers["Content-Type"] = "application/octet-stream"
        url = self.base + path + ("?" + parameters if parameters else "")
        return urllib.request.Request(url, data=data, headers=headers, method=method)


class Slice:
    """A part of a file that is sent."""

    def __init__(self, path, offset, size):
        self.path = path
        self.offset = offset
        self.size = size

    def open(self):
        return SliceReader(self)

    def digest(self):
        digest = hashlib.sha256()
        reader = self.open()
        for chunk in iter(lambda: reader.read(1 << 20), b""):
            digest.update(chunk)
        return digest.hexdigest()


class SliceReader:
    def __init__(self, part):
        self.file = open(part.path, "rb")
        self.file.seek(part.offset)
        self.left = part.size

    def read(self, count=-1):
        data = self.file.read(self.left if count < 0 else min(count, self.left))
        self.left -= len(data)
        if self.left == 0:
            self.file.close()
            self.file = io.BytesIO()
        return data


def error_text(answer):
    """What the server says of it: `: AccessDenied (Access Denied)`."""
    found = [re.search(b"<%s>([^<]*)</%s>" % (field, field), answer) for field in (b"Code", b"Message")]
    if found[0] is None:
        return ""
    message = "" if found[1] is None else " (%s)" % found[1].group(1).decode("utf-8", "replace")
    return ": %s%s" % (found[0].group(1).decode("utf-8", "replace"), message)


def unescape_xml(text):
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")


if __name__ == "__main__":
    sys.exit(main())
