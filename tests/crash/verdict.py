"""Compares what tallyd holds with the books, to the byte."""
import contextlib
import sqlite3

from deadline import wait_for


class Wrong(AssertionError):
    """`lost` and `twice` are the bytes of users that are missing, or too many."""

    def __init__(self, differences):
        self.lost = sum(max(0, low[k] - has[k])
                        for _, _, low, has, _ in differences for k in (0, 1))
        self.twice = sum(max(0, has[k] - low[k] - more[k])
                         for _, _, low, has, more in differences for k in (0, 1))
        lines = [f"{where}: {name}: expected {low}, found {has}"
                 + (f", up to {more} more would be right" if any(more) else "")
                 for where, name, low, has, more in differences]
        super().__init__("\n".join(lines[:40] + ["..."] * (len(lines) > 40)))


def differences(world, where, what, found):
    return [(where, *wrong) for wrong in world.books.differences(what, found)]


def check(world):
    """At a quiet moment: SQLite, Redis and what tallyd answers; traffic goes on afterwards."""
    world.settle()
    world.office.pause()
    world.drain(*world.gosts)
    for gost in world.gosts:
        world.touch(gost)
    world.drain(*world.gosts)
    world.daemon.force_sync()
    users = in_sqlite(world)
    wait_for(lambda: world.redis.view() == users, "Redis shows what SQLite holds")
    as_answered(world, users, world.rng.sample(sorted(users), 10))
    check_commands(world)
    for gost in world.gosts:
        gost.load = gost.usual_load


def in_sqlite(world):
    """Compares; what SQLite holds of users."""
    users = world.daemon.users()
    rows = world.daemon.sql(
        "select node, kind, service, input_bytes, output_bytes from services")
    services = {tuple(row[:3]): tuple(row[3:]) for row in rows if any(row[3:])}
    wrong = differences(world, "SQLite", "user", {u: t[1:] for u, t in users.items()})
    wrong += differences(world, "SQLite", "service", services)
    if wrong:
        raise Wrong(wrong)
    for user, (used, input_bytes, output_bytes) in users.items():
        assert used == input_bytes + output_bytes, (user, used, input_bytes, output_bytes)
    return users


def check_commands(world):
    """All acts are answered. Every row that tells of them, from the first on."""
    read_commands(world, world.office.begin_register())
    reporting = {row[0] for row in world.daemon.sql("select distinct node from services")}
    strange = reporting - world.nodes - {"default"}  # the node of hostile()
    assert not strange, f"who may not has reported: {strange}"
    found = world.daemon.get("/nodes")
    assert found.status == 200, found
    world.office.register.check_shown(found.json(), reporting)


def read_commands(world, register=None):
    """What has come to SQLite since the last time: with a start, all that was answered."""
    register = register or world.office.register
    with contextlib.closing(sqlite3.connect(
            world.daemon.database, timeout=30, isolation_level=None)) as db:
        register.read(db)
    for act in world.office.safe:
        assert register.has(act), f"it was answered and is gone: {act}"


def as_answered(world, users, some):
    client = world.daemon.client()
    for user in some:
        found = client.get(f"/users/{user}/traffic").json()
        assert (found["usedTraffic"], found["inputBytes"], found["outputBytes"]) == users[user], (
            found, users[user])
    client.close()
    return found["source"]


def final_check(world):
    """The last one: the ledger is asked as well, and SQLite again after a stop."""
    check(world)
    world.drain(*world.gosts)
    world.daemon.force_sync()
    users = in_sqlite(world)
    wait_for(lambda: world.redis.view() == users, "Redis shows what SQLite holds")
    world.redis.kill()
    wait_for(lambda: as_answered(world, users, list(users)[:1]) == "ledger", "Redis is missed")
    as_answered(world, users, list(users))
    world.note_repeats()
    world.daemon.stop()
    assert in_sqlite(world) == users
    world.office.note_start()
    read_commands(world, world.office.begin_register())
    world.check_logs()
