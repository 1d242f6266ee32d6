"""Kills, stops, cuts and starves tallyd under load, and compares every byte with the books.

    make crash CYCLES=1000 SEED=1

The same seed makes the same choices; what they meet depends on the machine.
"""
import argparse
import pathlib
import sys
import tempfile
import time
import traceback

from world import World

import faults
import verdict
from keeper import explain


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--check-every", type=int, default=25, help="cycles")
    parser.add_argument("--directory", type=pathlib.Path, help="an empty one; kept")
    parser.add_argument("--doubts", action="store_true",
                        help="GOSTs end with reports that nobody has answered")
    parser.add_argument("--no-cumulative", action="store_true")
    parser.add_argument("--no-losses", action="store_true")
    return parser.parse_args()


def run(world, options):
    world.redis.start()
    world.start()
    world.start_gosts()
    world.settle()
    for number in range(1, options.cycles + 1):
        world.say(f"cycle {number}")
        world.n_cycles = number
        faults.cycle(world)
        verdict.read_commands(world)
        if number % options.check_every == 0:
            world.say("check")
            verdict.check(world)
            world.keeper.forget()
            world.office.go_on()
    verdict.final_check(world)


def summary(world, options, began, lost, twice):
    counts = world.lossy.counts
    lines = [
        f"seed {options.seed}, {world.n_cycles} cycles, {(time.monotonic() - began) / 60:.1f} min",
        f"{world.books.n_answered} reports answered; lost on the way: "
        + ", ".join(f"{fate} {counts[fate]}" for fate in ("lose", "half", "torn", "drop", "cut")),
        ", ".join(f"{name} {n}" for name, n in sorted(world.told.items())),
        f"{world.n_starts} starts of tallyd; {world.n_repeats} repeats suppressed, as far as seen",
        f"power losses took {world.books.lost[0]} answered reports, which they may; a record "
        f"waited at most {world.oldest_unsynced_ms} ms for its sync",
        world.office.summary(),
        f"{lost} bytes lost, {twice} bytes counted twice"]
    if world.books.doubtful:
        lines.append(f"{len(world.books.doubtful)} reports may have been counted or not")
    if not world.disk:
        lines.append("without full disks: no small file system could be mounted")
    return "\n".join(lines)


def main():
    options = arguments()
    directory = options.directory or pathlib.Path(tempfile.mkdtemp(prefix="tallyd-crash-"))
    directory.mkdir(exist_ok=True)
    print(f"seed {options.seed}, {options.cycles} cycles in {directory}", flush=True)
    began = time.monotonic()
    world = World(directory, options.seed, has_cumulative=not options.no_cumulative,
                  has_losses=not options.no_losses, doubts=options.doubts)
    lost = twice = 0
    failure = None
    try:
        run(world, options)
    except verdict.Wrong as wrong:
        failure, lost, twice = f"{wrong}", wrong.lost, wrong.twice
        failure += "\n" + explain(world)
    except Exception:
        failure = traceback.format_exc()
        lost = twice = "?"
    world.close()
    print(summary(world, options, began, lost, twice))
    if failure:
        print(f"FAILED with seed {options.seed} in cycle {world.n_cycles}; see {directory}\n"
              f"{failure}")
        return 1
    if not options.directory:
        world.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
