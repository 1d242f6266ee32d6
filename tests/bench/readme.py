#!/usr/bin/env python3
"""Renews the figures of README.md, and its plot, from the last whole run of `make bench`."""
import json
import shutil
import sys

sys.dont_write_bytecode = True

from bench import USUAL  # noqa: E402
from load import HERE, give_up  # noqa: E402
from tables import document, from_plain  # noqa: E402

from deadline import ROOT  # noqa: E402

BEGIN = "<!-- written by `make bench-readme` -->\n"
PLOT = "![Reports per second](tests/bench/speed.svg)\n\n"
END = "<!-- end of what `make bench-readme` writes -->\n"


def renewed(readme, block):
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        give_up("README.md has lost the two lines between which its figures stand")
    return head + BEGIN + block + END + tail


def main():
    results = ROOT / "build" / "bench"
    try:
        run = json.loads((results / "bench.json").read_text())
    except OSError:
        give_up(f"{results}/bench.json is not there: run `make bench` first")
    missing = [name for name in USUAL if name not in run["options"]["only"]]
    if missing:
        give_up(f"the last run has measured no {missing[0]}: run `make bench` without ONLY")
    readme = ROOT / "README.md"
    readme.write_text(renewed(
        readme.read_text(), PLOT + document(run, map(from_plain, run["tables"]))))
    shutil.copy(results / "bench.svg", HERE / "speed.svg")


if __name__ == "__main__":
    main()
