"""What a script's commands were given as arguments, which others can read in /proc."""
import os
import shutil

WRAPPER = """#!/bin/sh
printf '%s\\n' "{name} $*" >>'{log}'
exec '{program}' "$@"
"""


class ArgvLog:
    """Wrappers of `names`, to stand first in PATH; each notes its arguments."""

    def __init__(self, directory, names):
        self.directory = directory
        self.log = directory / "argv.log"
        directory.mkdir()
        self.log.touch()
        for name in names:
            program = shutil.which(name)
            if program:
                self.put(name, WRAPPER.format(name=name, log=self.log, program=program))

    def put(self, name, script):
        (self.directory / name).write_text(script)
        (self.directory / name).chmod(0o755)

    @property
    def path(self):
        return f"{self.directory}:{os.environ['PATH']}"

    def text(self):
        return self.log.read_text()
