"""What Redis shows, against what the daemon holds."""
from deadline import wait_for

# An answer waits for Redis so long at most, whatever redis_timeout is.
SHOWN_SECONDS = 1


def start_linked(daemon):
    """Starts it, and waits until it writes to Redis: if that is slow, it listens earlier."""
    daemon.start()
    wait_for_state(daemon, "up")
    return daemon


def wait_for_read(daemon, quoted_id):
    """What it tells of a user once it reads Redis for that.

    The ledger answers while a report of this user is on its way to Redis.
    """
    def read():
        found = daemon.traffic(quoted_id)
        return found if found["source"] == "redis" else None

    return wait_for(read, f"{quoted_id} is read in Redis")


def check_shown(missing, answered_in):
    """missing() is what was answered and Redis does not show: nothing, from the answer on.

    But for answers that took SHOWN_SECONDS: these have given up waiting for Redis, and what
    they answered is shown later. With a redis_timeout in which Redis replies on any machine:
    nobody waits for a Redis that is down.
    """
    if answered_in < SHOWN_SECONDS:
        found = missing()
        assert not found, found
    wait_for(lambda: not missing(), "what was answered is shown")


def wait_for_view(redis, daemon, prefix="user:", limit=60, missing=None):
    """Flushes, and waits until Redis shows just what SQLite holds, and `missing` besides."""
    daemon.force_sync()
    held = daemon.users()
    shown = held | (missing or {})
    wait_for(lambda: redis.view(prefix) == shown, "Redis shows the ledger", limit=limit)
    return held


def wait_for_state(daemon, *states):
    return wait_for(lambda: daemon.status()["redis"]["state"] in states, f"redis is {states}")
