"""The test that came with the original design: a hundred users, one report each."""
import shutil
import subprocess
import threading

import pytest

from deadline import seconds, wait_for
from tallyd import report, stats
from view import start_linked

CURL_LOOP = """
for i in $(seq 1 100); do
  curl -s -X POST http://localhost:PORT/api/gost/observer -H "Content-Type: application/json" \
    -d "{\\"events\\":[{\\"client\\":\\"$i\\",\\"type\\":\\"stats\\",\\"stats\\":{\\"inputBytes\\":1024,\\"outputBytes\\":2048}}]}" &
done; wait
"""
EVENT = '{"events":[{"client":"%d","type":"stats","stats":{"inputBytes":1024,"outputBytes":2048}}]}'
CONFIG_MEMBERS = {"syncInterval", "maxPendingUsers", "batchSize"}
STATS_MEMBERS = {"totalSyncs", "successfulSyncs", "failedSyncs", "avgSyncTime", "pendingUsers",
                 "isSyncing"}


def post_by_hundred(daemon):
    """All answers, one behind the other."""
    if shutil.which("curl"):
        script = CURL_LOOP.replace("PORT", str(daemon.port))
        return subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True,
                              timeout=seconds(60)).stdout
    answers = []
    threads = [threading.Thread(target=lambda i=i: answers.append(
        daemon.post("/api/gost/observer", EVENT % i).body)) for i in range(1, 101)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return b"".join(answers)


def count_and_sum(daemon):
    return daemon.sql("select count(*), sum(used_traffic) from users")[0]


@pytest.mark.smoke
def test_a_hundred_users_posted_at_once_are_counted_and_synced(redis, tallyd):
    daemon = tallyd(redis_url=redis.url, env={"DB_SYNC_INTERVAL": "2000"}).start()
    for round_ in (1, 2):
        assert post_by_hundred(daemon) == b'{"ok":true}' * 100
        wait_for(lambda: redis.ask("HGET", "user:7", "usedTraffic") == str(3072 * round_),
                 "Redis shows it")
        wait_for(lambda: count_and_sum(daemon) == (100, 307200 * round_),
                 "the interval's flush")
        wait_for(lambda: daemon.status()["stats"]["pendingUsers"] == 0, "nothing pending")
    data = daemon.status()
    assert data["config"] == {"syncInterval": 2000, "maxPendingUsers": 1000, "batchSize": 50}
    assert set(data["stats"]) == STATS_MEMBERS
    assert data["stats"]["failedSyncs"] == 0
    assert data["stats"]["successfulSyncs"] == data["stats"]["totalSyncs"] >= 2
    assert data["stats"]["avgSyncTime"] > 0
    assert data["stats"]["isSyncing"] is False
    expected = {str(i): (6144, 2048, 4096) for i in range(1, 101)}
    wait_for(lambda: redis.view() == expected, "Redis shows the ledger")
    print(f"average flush of 100 users: {data['stats']['avgSyncTime']} ms")


def test_a_hundred_users_are_one_sync(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url))
    daemon.force_sync()  # of the link to Redis, which counts as none
    assert daemon.status()["stats"] == {
        "totalSyncs": 0, "successfulSyncs": 0, "failedSyncs": 0, "avgSyncTime": 0,
        "pendingUsers": 0, "isSyncing": False}
    assert post_by_hundred(daemon) == b'{"ok":true}' * 100
    assert daemon.status()["stats"]["pendingUsers"] == 100
    answer = daemon.force_sync()
    assert answer["users"] == 100
    assert answer["timeMs"] > 0
    data = daemon.status()
    assert data["config"]["syncInterval"] == 45000
    assert data["stats"] == {
        "totalSyncs": 1, "successfulSyncs": 1, "failedSyncs": 0, "pendingUsers": 0,
        "isSyncing": False, "avgSyncTime": data["stats"]["avgSyncTime"]}
    assert data["stats"]["avgSyncTime"] > 0
    assert count_and_sum(daemon) == (100, 307200)


def test_the_status_has_its_members_beside_the_originals(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url))
    daemon.force_sync()  # of the link to Redis
    for _ in range(10):
        daemon.report(stats("alice", 1, 2), stats("bob", 3, 4))
    daemon.post("/observer", report({"type": "stats", "client": "bad"}))
    daemon.force_sync()
    wait_for(lambda: daemon.status()["redis"]["unsentUsers"] == 0, "nothing unsent")
    data = daemon.status()
    assert set(data["efficiency"]) >= {"avgBatchSize", "syncSuccessRate", "dbWriteReduction"}
    assert data["efficiency"]["avgBatchSize"] == 2
    assert data["efficiency"]["syncSuccessRate"] == 100
    assert data["efficiency"]["dbWriteReduction"] == pytest.approx(95)  # 1 for 20 events
    assert set(data["lastSync"]) >= {"at", "users", "timeMs", "error"}
    assert data["lastSync"]["users"] == 2
    assert not data["lastSync"]["error"]
    assert data["redis"]["state"] == "up"
    assert data["redis"]["unsentUsers"] == 0
    assert "repairs" in data["redis"]
    assert data["reports"]["accepted"] == 11
    assert data["reports"]["refused"] == 0
    assert data["reports"]["rejectedEvents"] == 1
    assert {"bytes", "records"} <= set(data["journal"])
    assert data["uptimeSeconds"] >= 0
    assert data["version"] in daemon.get("/version").body.decode()


def test_a_sync_with_nothing_to_write_is_none(tallyd):
    daemon = tallyd().start()
    assert daemon.force_sync()["users"] == 0
    assert daemon.status()["stats"]["totalSyncs"] == 0
