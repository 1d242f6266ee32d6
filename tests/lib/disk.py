"""A file system of a few megabytes, to be filled."""
import errno
import os
import pathlib
import subprocess

from deadline import wait_for


class SmallDisk:
    """A tmpfs: mounted if we may, else in a user namespace that a helper process holds.

    `path` is where the daemon sees it when started behind `wrapper`, `outside` where we do.
    """

    def __init__(self, path, size_bytes):
        self.path = self.outside = path
        self.wrapper = ()
        self.holder = None
        self.is_mounted = False
        path.mkdir()
        options = f"size={size_bytes},mode=0777"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        if os.geteuid() == 0 and succeeds(mount):
            self.is_mounted = True
        else:
            self.hold(mount)

    def hold(self, mount):
        script = '"$@" && echo ready && exec cat'
        self.holder = subprocess.Popen(
            ["unshare", "-Urm", "sh", "-c", script, "sh", *mount], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.holder.stdout.readline() != b"ready\n":
            self.close()
            raise OSError("neither mount nor unshare -Urm is permitted")
        pid = str(self.holder.pid)
        self.outside = pathlib.Path(f"/proc/{pid}/root{self.path}")
        self.wrapper = ("nsenter", "-t", pid, "-U", "-m", "--preserve-credentials")

    def free_bytes(self):
        found = os.statvfs(self.outside)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes=0):
        """Takes all room but `leave_bytes`, whoever writes meanwhile."""
        wait_for(lambda: self.takes_all_but(leave_bytes), "the disk is full")

    def takes_all_but(self, leave_bytes):
        """False: others took of it meanwhile, and what could be had is taken."""
        room = part = self.free_bytes() - leave_bytes
        with open(self.outside / "ballast", "ab") as file:
            while part > 0:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), part)
                    break
                except OSError as reason:
                    if reason.errno != errno.ENOSPC:
                        raise
                    part //= 2
        return part == room

    def empty(self):
        (self.outside / "ballast").unlink()

    def close(self):
        if self.holder is not None:
            self.holder.stdin.close()
            self.holder.wait()
            self.holder.stdout.close()
        if self.is_mounted:
            subprocess.run(["umount", str(self.path)], check=True)


def succeeds(command):
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
