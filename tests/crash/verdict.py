"""Compares what tallyd holds with the books, to the byte."""
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
    world.drain(*world.gosts)
    for gost in world.gosts:
        world.touch(gost)
    world.drain(*world.gosts)
    world.daemon.force_sync()
    users = in_sqlite(world)
    wait_for(lambda: world.redis.view() == users, "Redis shows what SQLite holds", limit=30)
    as_answered(world, users, world.rng.sample(sorted(users), 10))
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
    wait_for(lambda: world.redis.view() == users, "Redis shows what SQLite holds", limit=30)
    world.redis.kill()
    wait_for(lambda: as_answered(world, users, list(users)[:1]) == "ledger", "Redis is missed")
    as_answered(world, users, list(users))
    world.note_repeats()
    world.daemon.stop()
    assert in_sqlite(world) == users
    world.check_logs()
