"""Whether SQLite holds what was sent, to the byte."""
import collections
import contextlib
import sqlite3


class WrongLedger(Exception):
    pass


class Ledger:
    """What was answered ok."""

    def __init__(self):
        self.sent = collections.defaultdict(lambda: [0, 0])

    def add(self, service, load):
        self.sent[service][0] += load.input_bytes
        self.sent[service][1] += load.output_bytes

    def expected(self):
        """{name: (input, output)} of each service, and of all users together."""
        books = {f"service {name}": tuple(sums) for name, sums in self.sent.items()}
        books["all users"] = tuple(map(sum, zip((0, 0), *self.sent.values())))
        return books

    def check(self, database):
        found = found_in(database)
        wrong = [f"{name}: {found.get(name, (0, 0))} instead of {sums}"
                 for name, sums in self.expected().items() if found.get(name, (0, 0)) != sums]
        if wrong:
            raise WrongLedger("the ledger does not hold what was sent; input and output bytes of "
                              + "; ".join(wrong))


def found_in(database):
    with contextlib.closing(sqlite3.connect(database)) as db:
        found = {f"service {name}": sums for name, *sums in db.execute(
            "select service, sum(input_bytes), sum(output_bytes) from services "
            "where kind = 'handler' group by service")}
        used, *sums = db.execute("select coalesce(sum(used_traffic), 0), coalesce(sum(input_bytes)"
                                 ", 0), coalesce(sum(output_bytes), 0) from users").fetchone()
    if used != sum(sums):
        raise WrongLedger(f"the users' totals are {used} bytes, input and output {sum(sums)}")
    found["all users"] = sums
    return {name: tuple(sums) for name, sums in found.items()}


def check_view(view, expected):
    """What Redis shows, {id: (used, input, output)}, is the sum of what all users have."""
    shown = tuple(sum(sums[i] for sums in view.values()) for i in (1, 2))
    if shown != expected:
        raise WrongLedger(f"Redis shows {shown} input and output bytes instead of {expected}")
