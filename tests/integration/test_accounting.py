"""The accounting rules, through the door and onto the disk."""
import json
import re

import pytest

from deadline import wait_for
from tallyd import report, stats

MAX = 2**63 - 1
SERVICES = "select node, kind, service, input_bytes, output_bytes from services order by 1, 2, 3"


@pytest.mark.smoke
def test_a_handler_event_is_its_clients_and_its_services(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 10), stats("bob", 2, 20), stats("alice", 4, 40))
    daemon.report(stats("alice", 8, 80, kind=None), stats("bob", 16, 160, service="other"))
    daemon.force_sync()
    assert daemon.users() == {"alice": (143, 13, 130), "bob": (198, 18, 180)}
    assert daemon.sql(SERVICES) == [("default", "handler", "other", 16, 160),
                                    ("default", "handler", "service-0", 15, 150)]


def test_an_event_without_a_client_is_booked_to_the_service_only(tallyd):
    daemon = tallyd().start()
    nobody = [stats(None, 1, 2), stats("", 10, 20), stats("x", 100, 200) | {"client": None}]
    daemon.report(*nobody)
    daemon.force_sync()
    assert daemon.users() == {}
    assert daemon.sql(SERVICES) == [("default", "handler", "service-0", 111, 222)]
    assert daemon.status()["reports"]["rejectedEvents"] == 0


def test_service_events_and_handler_events_are_never_mixed(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2), stats(None, 1000, 2000, kind="service"),
                  stats("alice", 5000, 6000, kind="service"))
    daemon.force_sync()
    assert daemon.users() == {"alice": (3, 1, 2)}
    assert daemon.sql(SERVICES) == [("default", "handler", "service-0", 1, 2),
                                    ("default", "service", "service-0", 6000, 8000)]
    daemon.stop()
    daemon.start()
    daemon.report(stats("alice", 1, 2), stats(None, 1000, 2000, kind="service"))
    daemon.force_sync()
    assert daemon.users() == {"alice": (6, 2, 4)}
    assert daemon.sql(SERVICES) == [("default", "handler", "service-0", 2, 4),
                                    ("default", "service", "service-0", 7000, 10000)]


def test_services_of_equal_name_are_kept_apart_by_node(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2), query="?node=hk1")
    daemon.report(stats("alice", 4, 8), query="?node=us1")
    daemon.force_sync()
    assert daemon.users() == {"alice": (15, 5, 10)}
    assert daemon.sql(SERVICES) == [("hk1", "handler", "service-0", 1, 2),
                                    ("us1", "handler", "service-0", 4, 8)]


def test_connections_and_errors_are_kept_as_last_seen(tallyd):
    daemon = tallyd().start()
    for total, current, errors in ((7, 3, 1), (9, 1, 2)):
        daemon.report(stats("alice", 1, 1) | {"stats": {
            "totalConns": total, "currentConns": current, "totalErrs": errors,
            "inputBytes": 1, "outputBytes": 1}})
    daemon.force_sync()
    assert daemon.sql("select total_conns, current_conns, total_errs from services") == [
        (9, 1, 2)]


SHOWN = "select total_conns, current_conns, total_errs from services order by kind"


def connected(client, total, current, errors, **members):
    return stats(client, stats={"totalConns": total, "currentConns": current,
                                "inputBytes": 1, "outputBytes": 1, "totalErrs": errors},
                 **members)


def test_connections_and_errors_are_sums_over_the_clients_of_the_last_report(tallyd):
    daemon = tallyd().start()
    daemon.report(connected("alice", 1, 1, 1), connected("bob", 1, 1, 1))
    daemon.report(connected("alice", 10, 3, 1), connected("bob", 20, 5, 2),
                  connected(None, 400, 40, 4, kind="service"))
    daemon.kill()  # a fold comes to the same
    daemon.start()
    assert daemon.sql(SHOWN) == [(30, 8, 3), (400, 40, 4)]
    daemon.report(connected("bob", 21, 6, 2))
    daemon.force_sync()
    assert daemon.sql(SHOWN) == [(21, 6, 2), (400, 40, 4)]


@pytest.mark.parametrize("query", ["", "?counters=cumulative"])
@pytest.mark.parametrize("number", [2**64 - 1, -1, 0.5, "7", None])
def test_an_impossible_number_of_connections_or_errors_costs_no_byte(tallyd, number, query):
    daemon = tallyd().start()
    for value in (100, 200, 300):
        event = stats("alice", value, 0)
        if value == 200:
            event["stats"] |= {"totalConns": number, "totalErrs": number,
                               "currentConns": number}
        daemon.report(event, query=query)
    expected = 300 if query else 600
    assert daemon.traffic("alice")["usedTraffic"] == expected
    daemon.kill()
    daemon.start()
    assert daemon.traffic("alice")["usedTraffic"] == expected
    assert daemon.status()["reports"]["rejectedEvents"] == 0


def test_an_event_of_unknown_type_with_stats_is_kept_as_a_reject(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2), stats("alice", 10, 20, type="traffic"),
                  stats("bob", 100, 200, type="Stats"), {"type": "weather"})
    daemon.force_sync()
    assert daemon.users() == {"alice": (3, 1, 2)}
    assert daemon.status()["reports"]["rejectedEvents"] == 2
    rows = daemon.sql("select reason, event from rejects order by id")
    assert [json.loads(event)["client"] for _, event in rows] == ["alice", "bob"]
    assert all("type is unknown" in reason for reason, _ in rows)
    assert "event rejected" in daemon.log()


def test_a_services_state_is_kept(tallyd):
    daemon = tallyd().start()

    def announce(state):
        daemon.report({"kind": "service", "service": "proxy", "type": "status",
                       "status": {"state": state, "msg": "hello"}})

    announce("running")
    announce("ready")
    daemon.report(stats(None, 5, 6, kind="service", service="proxy"))
    daemon.force_sync()
    rows = "select kind, service, state, input_bytes, output_bytes from services"
    assert daemon.sql(rows) == [("service", "proxy", "ready", 5, 6)]
    announce("closed")
    daemon.kill()
    daemon.start()
    assert daemon.sql(rows) == [("service", "proxy", "closed", 5, 6)]
    assert daemon.users() == {}


def test_events_of_unknown_types_are_ignored(tallyd):
    daemon = tallyd().start()
    daemon.report({"type": "weather"}, stats("alice", 1, 2), {"type": "stat", "client": "x"})
    daemon.force_sync()
    assert daemon.users() == {"alice": (3, 1, 2)}
    assert daemon.status()["reports"]["rejectedEvents"] == 0


def test_a_bad_event_costs_the_others_nothing(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2), stats("bob", -5, 2), stats("carol", 4, 8),
                  stats("x" * 256, 1, 1), stats("dave\n", 1, 1), {"type": "stats"}, None,
                  stats("alice", 16, 32), query="?node=hk1")
    daemon.force_sync()
    assert daemon.users() == {"alice": (51, 17, 34), "carol": (12, 4, 8)}
    assert daemon.status()["reports"]["rejectedEvents"] == 5
    rows = daemon.sql("select at, node, reason, event from rejects")
    assert len(rows) == 5
    for at, node, reason, event in rows:
        assert at > 0 and node == "hk1" and reason
        assert event and not re.search(r"[\x00-\x1f\x7f]", event)
    assert any('"bob"' in event and "-5" in event for *_, event in rows)


def test_a_bad_event_is_logged_once_and_not_without_end(tallyd):
    daemon = tallyd().start()
    client = daemon.client()
    for _ in range(300):
        client.post("/observer", report(stats("eve", -1, 0)))
    client.close()
    lines = [line for line in daemon.log().splitlines() if " warn" in line]
    assert 1 <= len(lines) <= 30, lines


def test_rejects_are_bounded_and_the_newest_are_kept(tallyd):
    daemon = tallyd().start()
    client = daemon.client()
    for start in (0, 1600):
        for i in range(100):
            client.post("/observer", report(*(
                stats(f"bad-{start + i * 16 + k}", -1, 0) for k in range(16))))
        client.post("/force-sync")
        rows = daemon.sql("select event from rejects")
        assert 16 <= len(rows) <= 1000
        assert any(f"bad-{start + 1599}\"" in event for event, in rows)
    client.close()
    assert daemon.status()["reports"]["rejectedEvents"] == 3200
    assert daemon.users() == {}


@pytest.mark.parametrize("number, is_good", [
    (0, True), (1, True), (2**53 - 1, True), (2**53, False), (2**53 + 1, False),
    (2**64 - 1, False), (2**64, False), (-1, False), (0.5, False), (1e300, False)])
def test_counters_are_whole_numbers_below_2_to_the_53_and_others_are_rejects(
        tallyd, number, is_good):
    daemon = tallyd().start()
    daemon.report(stats("alice", number, 1), stats("bob", 1, number), stats("carol", 5, 5))
    daemon.force_sync()
    expected = {"carol": (10, 5, 5)}
    if is_good:
        expected |= {"alice": (number + 1, number, 1), "bob": (number + 1, 1, number)}
    assert daemon.users() == expected
    assert daemon.status()["reports"]["rejectedEvents"] == (0 if is_good else 2)


def test_a_client_of_255_bytes_is_the_longest(tallyd):
    daemon = tallyd().start()
    good = ["x" * 255, "ü" * 127, "😀" * 63]
    bad = ["x" * 256, "ü" * 128, "😀" * 64]
    daemon.report(*(stats(name, 1, 2) for name in good + bad))
    daemon.force_sync()
    assert daemon.users() == {name: (3, 1, 2) for name in good}
    assert daemon.status()["reports"]["rejectedEvents"] == 3


def test_a_nul_in_a_name_shows_in_the_reject_and_books_nothing_to_the_cut_name(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("ali\0ce", 10, 20), stats("ali", 1, 2))
    daemon.force_sync()
    assert daemon.users() == {"ali": (3, 1, 2)}
    (event,), = daemon.sql("select event from rejects")
    assert '"client":"ali\\u0000ce"' in event
    assert json.loads(event)["client"] == "ali\0ce"


def test_an_escaped_nul_costs_only_its_own_event(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2), stats("ali\0ce", 10, 20), stats("bob", 100, 200))
    daemon.report(stats("back\\u0000slash", 4, 8))
    daemon.force_sync()
    assert daemon.users() == {"alice": (3, 1, 2), "bob": (300, 100, 200),
                              "back\\u0000slash": (12, 4, 8)}
    assert daemon.status()["reports"]["rejectedEvents"] == 1


def test_the_three_totals_are_independent(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    daemon.sql("update users set used_traffic = 1000000, output_bytes = 50")
    daemon.start()
    daemon.report(stats("alice", 10, 20))
    daemon.force_sync()
    assert daemon.users() == {"alice": (1000030, 11, 70)}
    wait_for(lambda: redis.view() == {"alice": (1000030, 11, 70)}, "Redis shows the ledger")


def set_totals(daemon, used, input_bytes, output_bytes):
    daemon.sql("update users set used_traffic = ?, input_bytes = ?, output_bytes = ?",
               used, input_bytes, output_bytes)


def test_totals_saturate_at_2_to_the_63_minus_1(redis, tallyd):
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    set_totals(daemon, MAX - 10, MAX - 5, 100)
    daemon.start()
    for n in range(1, 4):
        daemon.report(stats("alice", 4, 1))
        expected = (min(MAX, MAX - 10 + 5 * n), min(MAX, MAX - 5 + 4 * n), 100 + n)
        wait_for(lambda: redis.view() == {"alice": expected}, "Redis shows the ledger")
        found = daemon.traffic("alice")
        assert expected == (found["usedTraffic"], found["inputBytes"], found["outputBytes"])
        daemon.force_sync()
        assert daemon.users() == {"alice": expected}
    daemon.report(stats("bob", 1, 2))
    daemon.kill()
    daemon.start()
    daemon.report(stats("alice", 1000, 1))
    daemon.force_sync()
    expected = {"alice": (MAX, MAX, 104), "bob": (3, 1, 2)}
    assert daemon.users() == expected
    assert daemon.sql("select distinct typeof(used_traffic), typeof(input_bytes) from users") \
        == [("integer", "integer")]
    wait_for(lambda: redis.view() == expected, "Redis shows the ledger")
    assert daemon.status()["hasSaturatedTotals"] is True
    assert "the largest that can be held" in daemon.log()


def test_a_sum_beyond_2_to_the_63_saturates_before_any_flush(redis, tallyd):
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    events = [stats("alice", 2**53 - 1, 0)] * 600
    for _ in range(2):
        assert daemon.post("/observer", report(*events)).status == 200
    daemon.report(stats("bob", 1, 2))
    expected = {"alice": (MAX, MAX, 0), "bob": (3, 1, 2)}
    wait_for(lambda: redis.view() == expected, "Redis shows the ledger")
    daemon.kill()
    daemon.start()
    daemon.force_sync()
    assert daemon.users() == expected
    assert daemon.sql("select input_bytes from services") == [(MAX,)]


def test_no_user_beyond_max_users_is_taken_and_those_known_go_on(tallyd):
    daemon = tallyd(max_users=10)
    daemon.expects_errors = True
    daemon.start()
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(8)))
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(6, 14)), stats("u9", 1, 2))
    assert daemon.status()["reports"]["rejectedEvents"] == 4
    daemon.kill()
    daemon.start()
    daemon.report(stats("u0", 1, 2), stats("u13", 1, 2), stats(None, 5, 5))
    daemon.force_sync()
    expected = {f"u{i}": (3, 1, 2) for i in range(10)}
    for name in ("u0", "u6", "u7", "u9"):
        expected[name] = (6, 2, 4)
    assert daemon.users() == expected
    reasons = daemon.sql("select reason, event from rejects")
    assert any("max_users" in reason and "u13" in event for reason, event in reasons)


def test_totals_in_redis_are_three_fields_beside_those_of_others(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2))
    shown = {"usedTraffic": "3", "inputBytes": "1", "outputBytes": "2"}
    wait_for(lambda: redis.hash("user:alice") == shown, "it is shown")
    redis.ask("HSET", "user:alice", "quota", "500")
    daemon.report(stats("alice", 10, 20))
    daemon.stop()
    daemon.start()
    daemon.report(stats("alice", 100, 200))
    shown = {"usedTraffic": "333", "inputBytes": "111", "outputBytes": "222", "quota": "500"}
    wait_for(lambda: redis.hash("user:alice") == shown, "it is shown")


def test_the_originals_load_script_is_understood(tallyd):
    daemon = tallyd().start()
    body = json.dumps({"events": [{"client": "7", "type": "stats",
                                   "stats": {"inputBytes": 1024, "outputBytes": 2048}}]})
    assert daemon.post("/api/gost/observer", body).status == 200
    assert daemon.traffic("7") == {"id": "7", "usedTraffic": 3072, "inputBytes": 1024,
                                   "outputBytes": 2048, "source": "ledger"}
