"""The program of another commit."""
import os
import pathlib
import subprocess
import tempfile

from load import give_up, require

from deadline import BIN, ROOT


def unpack(commit, tree):
    """What is there is whole: it gets its name at the end."""
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tree.parent) as name:
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True,
                                 check=True).stdout
        unpacked = pathlib.Path(name) / "tree"
        unpacked.mkdir()
        subprocess.run(["tar", "-x", "-C", unpacked], input=archive, check=True)
        unpacked.rename(tree)


def build(name):
    """(commit, its program), made with our variables in build/base/<commit>, which stays."""
    require("git", "tar", "make")
    found = subprocess.run(["git", "-C", ROOT, "rev-parse", "--verify", "--quiet",
                            f"{name}^{{commit}}"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        give_up(f"there is no commit {name}")
    commit = found.stdout.strip()
    tree = ROOT / "build" / "base" / commit
    if not tree.exists():
        unpack(commit, tree)
    # Variables of the make that runs us are in the environment; its job server is not ours.
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    made = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", tree, "all"], env=kept,
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        give_up(f"{name} cannot be built:\n{made.stderr}")
    return commit, tree / pathlib.Path(BIN).relative_to(ROOT)
