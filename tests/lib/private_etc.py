"""An /etc of a test's own: what groupadd, useradd and others write there is gone with it."""
import os
import pathlib
import subprocess

from deadline import seconds

SCRIPT = """
mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs "$1" && cp -a /etc "$1/etc" &&
rm -rf "$1/etc/tallyd" && mount --bind "$1/etc" /etc && echo ready && exec cat
"""


class PrivateEtc:
    """A mount namespace that a helper process holds. `directory` is an empty one in there, which
    everybody may look into."""

    directory = pathlib.Path("/mnt")

    def __init__(self):
        self.holder = None
        if os.geteuid() != 0:
            raise OSError("this needs root")
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", str(self.directory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.holder.stdout.readline() != b"ready\n":
            self.close()
            raise OSError("this needs a mount namespace")
        self.wrapper = ("nsenter", "-t", str(self.holder.pid), "-m", "--wd=/")

    def run(self, *command, **options):
        """Runs it in there to its end."""
        return subprocess.run(
            [*self.wrapper, *map(str, command)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds(60),
            check=False, **options)

    def must(self, *command):
        result = self.run(*command)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def outside(self, path):
        """Where we see a file of it."""
        return pathlib.Path(f"/proc/{self.holder.pid}/root{path}")

    def group(self, name):
        """(gid, members), or None."""
        line = self.run("getent", "group", name).stdout.strip()
        return (int(line.split(":")[2]), line.split(":")[3]) if line else None

    def as_member(self, *groups):
        """A command's beginning: nobody, as a member of these groups."""
        ids = ",".join(str(self.group(name)[0]) for name in groups)
        return ("setpriv", "--reuid=65534", "--regid=65534", "--inh-caps=-all",
                *([f"--groups={ids}"] if ids else ["--clear-groups"]))

    def close(self):
        if self.holder is not None:
            self.holder.stdin.close()
            self.holder.wait()
            self.holder.stdout.close()
