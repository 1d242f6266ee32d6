"""Whatever happens to Redis while reports come in, soon afterwards it shows the ledger."""
import contextlib
import os
import threading
import time

import pytest

from crowd import Crowd
from deadline import IS_RELEASE, wait_for
from proxy import Proxy
from resp import RedisError

pytestmark = pytest.mark.long

N_USERS = 10_000
# Seconds within which the view has to be right again. The promise is 5; a machine that tests
# may be a slow one.
LIMIT = float(os.environ.get("REPAIR_LIMIT", 60))
A_WHILE = 1.5  # seconds that each disturbance is left alone for

disturbances = {}


def disturbance(function):
    """Called with a Scene; at its end Redis is usable again."""
    disturbances[function.__name__] = function
    return function


class Scene:
    def __init__(self, redis, proxy, daemon):
        self.redis, self.proxy, self.daemon = redis, proxy, daemon

    def is_down(self):
        return self.daemon.status()["redis"]["state"] != "up"

    def wait_for_loss(self, why):
        def is_lost():
            data = self.daemon.status()["redis"]
            return data["state"] != "up" and why in str(data["error"])

        wait_for(is_lost, f"{why} is said")


@disturbance
def killed_and_restarted_with_its_data(scene):
    scene.redis.ask("CONFIG", "SET", "appendonly", "yes")
    scene.redis.options += ("--appendonly", "yes")
    wait_for(lambda: "aof_rewrite_in_progress:0" in scene.redis.ask("INFO", "persistence"),
             "the file is there")
    scene.redis.kill()
    time.sleep(A_WHILE)
    scene.redis.start()
    assert scene.redis.ask("DBSIZE") > N_USERS


@disturbance
def killed_and_restarted_empty(scene):
    scene.redis.kill()
    time.sleep(A_WHILE)
    scene.redis.start()


@disturbance
def killed_and_restarted_from_an_old_snapshot(scene):
    scene.redis.ask("SAVE")
    time.sleep(A_WHILE)
    scene.redis.kill()
    scene.redis.start()
    assert scene.redis.ask("DBSIZE") > N_USERS


@disturbance
def stopped_for_5_s(scene):
    scene.redis.pause()
    time.sleep(5)
    scene.redis.resume()


@disturbance
def flushed(scene):
    for _ in range(3):
        scene.redis.ask("FLUSHALL")
        time.sleep(A_WHILE / 3)


@disturbance
def user_deleted(scene):
    scene.redis.ask("DEL", "user:7")


@disturbance
def user_edited(scene):
    scene.redis.ask("HSET", "user:7", "usedTraffic", "1")


@disturbance
def users_key_taken_by_a_string(scene):
    scene.redis.ask("SET", "user:7", "x")
    wait_for(lambda: scene.daemon.status()["redis"]["refusedUsers"] == 1, "it is refused")
    assert scene.redis.ask("GET", "user:7") == "x"
    assert not scene.is_down()
    assert "WRONGTYPE" in scene.daemon.status()["redis"]["error"]
    scene.redis.ask("DEL", "user:7")


@disturbance
def every_connection_killed_again_and_again(scene):
    end = time.monotonic() + 2 * A_WHILE
    while time.monotonic() < end:
        scene.redis.ask("CLIENT", "KILL", "TYPE", "normal")
        time.sleep(0.01)


@disturbance
def made_a_replica(scene):
    scene.redis.ask("REPLICAOF", "127.0.0.1", scene.redis.port)  # of itself: never in sync
    scene.wait_for_loss("READONLY")
    time.sleep(A_WHILE)
    scene.redis.ask("REPLICAOF", "NO", "ONE")


@disturbance
def out_of_memory(scene):
    scene.redis.ask("CONFIG", "SET", "maxmemory", "1")
    scene.wait_for_loss("OOM")
    time.sleep(A_WHILE)
    scene.redis.ask("CONFIG", "SET", "maxmemory", "0")


@disturbance
def password_changed(scene):
    scene.redis.ask("CONFIG", "SET", "requirepass", "secret")
    scene.redis.password = "secret"
    with contextlib.suppress(RedisError):
        scene.redis.ask("CLIENT", "KILL", "TYPE", "normal")
    scene.wait_for_loss("NOAUTH")
    time.sleep(A_WHILE)
    scene.redis.ask("CONFIG", "SET", "requirepass", "")
    scene.redis.password = None


@disturbance
def loading_its_snapshot(scene):
    scene.redis.ask("SAVE")
    scene.redis.kill()
    scene.redis.options += ("--key-load-delay", "200",
                            "--loading-process-events-interval-bytes", "1024")
    starting = threading.Thread(target=scene.redis.start)
    starting.start()
    scene.wait_for_loss("LOADING")
    starting.join()


@disturbance
def slow_by_300_ms(scene):
    scene.proxy.delay = 0.3
    time.sleep(2 * A_WHILE)
    assert not scene.is_down()
    scene.proxy.delay = 0


def for_some_replies(scene, change, ends=False):
    """Of 40 pieces one is changed, behind which the connection ends or goes on."""
    n = 0

    def on_reply(data):
        nonlocal n
        n += 1
        return (change(data), ends) if n % 40 == 0 else (data, False)

    before = scene.proxy.n_accepted
    scene.proxy.on_reply = on_reply
    wait_for(lambda: scene.proxy.n_accepted >= before + 3, "losses")
    scene.proxy.on_reply = None


@disturbance
def cut_in_the_middle_of_a_reply(scene):
    for_some_replies(scene, lambda data: data[:len(data) // 2], ends=True)


@disturbance
def garbage_in_a_reply(scene):
    for_some_replies(scene, lambda data: b"\x00\xffgarbage\r\n" + data)


@disturbance
def one_number_too_high_in_a_reply(scene):
    """Well-formed, and wrong: as good as somebody else's write."""
    before = scene.daemon.status()["redis"]["differences"]
    scene.proxy.on_reply = lambda data: (data.replace(b":0", b":1", 1), False)
    wait_for(lambda: scene.daemon.status()["redis"]["differences"] > before, "it is noticed")
    scene.proxy.on_reply = None


@pytest.mark.parametrize("what", disturbances)
def test_soon_after_redis_was(what, make_redis, tallyd):
    redis = make_redis().start()
    proxy = Proxy(redis.port)
    daemon = tallyd(redis_url=proxy.url, max_pending_users=100_000).start()
    crowd = Crowd(daemon, N_USERS).fill().start()
    disturbances[what](Scene(redis, proxy, daemon))
    healed = time.monotonic()
    time.sleep(1)
    crowd.stop()
    expected = crowd.expected()
    wait_for(lambda: redis.view() == expected, "Redis shows the ledger", limit=LIMIT - 1)
    print(f"{what}: right {time.monotonic() - healed:.1f} s after it was usable")
    daemon.force_sync()
    assert daemon.users() == expected
    proxy.close()


def repetitions(is_killed):
    return 10 if not IS_RELEASE else 20 if is_killed else 100


def fill_the_pipeline(daemon, crowd):
    """Reports until as many increments as can be are in a connection that gives no reply."""
    client = daemon.client()
    for start in range(0, len(crowd.names), 100):
        crowd.post(client, crowd.sums[0], range(start, start + 100), 1)
    client.close()
    wait_for(lambda: daemon.status()["redis"]["state"] != "up", "the connection is given up")


@pytest.mark.parametrize("is_killed", [False, True], ids=["lost", "killed"])
def test_what_a_paused_redis_has_not_read_is_not_counted_on_top(is_killed, redis, tallyd):
    daemon = tallyd(redis_url=redis.url, redis_timeout=100, max_pending_users=10**6).start()
    crowd = Crowd(daemon, 2000).fill()
    for n in range(repetitions(is_killed)):
        wait_for(lambda: daemon.status()["redis"]["unverifiedUsers"] == 0, "all are verified")
        redis.pause()
        fill_the_pipeline(daemon, crowd)
        if is_killed:
            daemon.kill()
            daemon.spawn()
        redis.resume()
        wait_for(daemon.is_ready, "it is ready")
        crowd.start()
        wait_for(lambda: daemon.status()["redis"]["state"] == "up", "it is up again")
        crowd.stop()
        expected = crowd.expected()
        wait_for(lambda: redis.view() == expected, f"Redis shows the ledger, round {n}")
        assert daemon.status()["redis"]["differences"] == 0, f"repaired twice in round {n}"
    daemon.force_sync()
    assert daemon.users() == crowd.expected()


class Dam:
    """Keeps the commands of the connections that there are when it closes, until it opens."""

    def __init__(self, proxy):
        self.is_closed = False
        self.opened = threading.Event()
        self.n_kept = 0
        proxy.on_command = self.on_command

    def on_command(self, words):
        if self.is_closed and not self.opened.is_set():
            self.n_kept += 1
            self.opened.wait()
        return True


@pytest.mark.parametrize("is_killed", [False, True], ids=["lost", "killed"])
def test_what_the_network_delivers_late_is_not_counted_on_top(is_killed, redis, tallyd):
    """As above, but the new connection is certain to be the faster one."""
    proxy = Proxy(redis.port)
    daemon = tallyd(redis_url=proxy.url, max_pending_users=10**6).start()
    crowd = Crowd(daemon, 2000).fill()
    for n in range(6):  # whoever was killed is known to be dead after three seconds
        wait_for(lambda: daemon.status()["redis"]["unverifiedUsers"] == 0, "all are verified",
                 limit=LIMIT)
        dam = Dam(proxy)
        dam.is_closed = True
        fill_the_pipeline(daemon, crowd)
        if is_killed:
            daemon.kill()
            daemon.spawn()
        dam.is_closed = False
        wait_for(daemon.is_ready, "it is ready")
        wait_for(lambda: redis.view() == crowd.expected(), f"Redis shows the ledger, round {n}",
                 limit=LIMIT)
        assert dam.n_kept > 0
        dam.opened.set()
        wait_for(lambda: daemon.status()["redis"]["edits"] == "told" and proxy.n_open == 2,
                 "the old connections have ended")
        assert redis.view() == crowd.expected(), f"counted on top in round {n}"
        assert daemon.status()["redis"]["differences"] == 0, f"repaired twice in round {n}"
    proxy.close()


def resident_bytes(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


@pytest.mark.skipif(not IS_RELEASE, reason="it is about the memory of the release program")
def test_a_minute_without_redis_costs_no_memory(redis, tallyd):
    daemon = tallyd(redis_url=redis.url, max_pending_users=10**6).start()
    crowd = Crowd(daemon, N_USERS, events=100, n_threads=4).fill().start()
    time.sleep(5)
    before = most = resident_bytes(daemon)
    redis.pause()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.5)
        most = max(most, resident_bytes(daemon))
    n_reports = crowd.n_reports
    redis.resume()
    healed = time.monotonic()
    time.sleep(1)
    crowd.stop()
    expected = crowd.expected()
    wait_for(lambda: redis.view() == expected, "Redis shows the ledger", limit=LIMIT)
    print(f"{n_reports} reports, resident {before} to {most} bytes, slowest answer "
          f"{1000 * crowd.slowest:.0f} ms, right after {time.monotonic() - healed:.1f} s")
    assert most - before < 16 << 20
    daemon.force_sync()
    assert daemon.users() == expected
