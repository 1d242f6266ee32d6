"""Keeps every segment of the journal beyond its flush, to tell which report was counted wrongly.
"""
import collections
import contextlib
import os
import threading
import time

from power import dump, key_of

SHOWN = 6


class Keeper:
    """A second name for each segment, in a directory beside, until forget()."""

    def __init__(self, data_dir):
        self.source = data_dir / "journal"
        self.directory = data_dir.parent / "kept"
        self.target = self.directory / "journal"
        self.target.mkdir(parents=True)
        self.lock = threading.Lock()
        self.began = time.time()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ending.wait(0.02):
            self.keep()

    def keep(self):
        with self.lock:
            with contextlib.suppress(FileNotFoundError):  # the folder may be gone just now
                self.link_all()

    def link_all(self):
        for path in self.source.glob("*.seg"):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.link(path, self.target / path.name)

    def forget(self):
        with self.lock:
            for path in self.target.glob("*.seg"):
                path.unlink()
            self.began = time.time()

    def close(self):
        self.ending.set()
        self.thread.join()


def explain(world):
    """Of the batches since the last check, those that were not counted just once.

    Only a hint: the books remember the last few thousand batches, and what a power loss took of
    cumulative counters comes with the next batch.
    """
    world.keeper.keep()
    lines = collections.defaultdict(list)
    for line in dump(world.daemon, data_dir=world.keeper.directory):
        lines[key_of(line)].append(line)
    wrong = []
    for batch in world.known_batches():
        found = lines.get(batch.key(), [])
        if len(found) != 1 and batch.attempts and batch.attempts[0][0] > world.keeper.began:
            wrong.append((len(found), describe(batch, found)))
    wrong.sort(key=lambda entry: -entry[0])
    return "\n".join([f"{len(wrong)} batches since the last check were not counted once",
                      *(text for _, text in wrong[:SHOWN])])


def describe(batch, found):
    text = [f"batch of {batch.stream.name}, {len(batch.amounts)} clients, "
            f"first {batch.amounts[0]}: counted {len(found)} times"]
    text += [f"  attempt at {at:.3f}, {took:.3f} s, {outcome}"
             for at, took, outcome in batch.attempts]
    return "\n".join(text + [f"  record {brief(line)}" for line in found])


def brief(line):
    short = {name: line[name] for name in line if name != "bookings"}
    return f"{short}, first booking {line['bookings'][0]}"
