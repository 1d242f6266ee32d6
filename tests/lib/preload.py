"""The libraries of tests/preload, which stand between the daemon and its system."""
import os
import subprocess

from deadline import IS_ASAN, ROOT, VALGRIND


def is_possible():
    """Sanitizers and valgrind want their own library to be the first that is loaded."""
    return not (IS_ASAN or VALGRIND)


def build(name, directory):
    """For LD_PRELOAD."""
    source, library = ROOT / "tests" / "preload" / f"{name}.c", directory / f"{name}.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE",
                    "-o", str(library), str(source), "-ldl"], check=True)
    return library
