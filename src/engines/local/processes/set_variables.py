"""Runs a program with secrets under names that no shell hands on, such as "my-key".

usage: python -I -S set_variables.py COUNT NAMES... PROGRAM [ARGS...]

The value of the first name is in the variable BODYWORK_HELD_0, and so on; these are not handed on. Nothing of a value is
ever on a command line, as it would be with env.
"""

import os
import signal
import sys


def main(words):
    # Python has set it itself when the locale is C.
    os.environb.pop(b"LC_CTYPE", None)
    end = 1 + int(words[0])
    for index, name in enumerate(words[1:end]):
        os.environb[name] = os.environb.pop(b"BODYWORK_HELD_%d" % index)
    # Python ignores them, and what is ignored stays so in the program.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    program = words[end]
    try:
        os.execvp(program, words[end:])
    except OSError as error:
        sys.stderr.write("bodywork: cannot run the program %s: %s\n" % (os.fsdecode(program), error.strerror))
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    sys.exit(main([os.fsencode(word) for word in sys.argv[1:]]))
