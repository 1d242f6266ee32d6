"""What Redis shows, against what the daemon holds."""
from deadline import wait_for


def wait_for_view(redis, daemon, prefix="user:", limit=30, missing=None):
    """Flushes, and waits until Redis shows just what SQLite holds, and `missing` besides."""
    daemon.force_sync()
    held = daemon.users()
    shown = held | (missing or {})
    wait_for(lambda: redis.view(prefix) == shown, "Redis shows the ledger", limit=limit)
    return held


def wait_for_state(daemon, *states):
    return wait_for(lambda: daemon.status()["redis"]["state"] in states, f"redis is {states}")
