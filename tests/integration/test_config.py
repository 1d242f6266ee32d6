"""Options: where they come from, which wins, and what is said about mistakes."""
import re
import signal

import pytest

from deadline import ROOT, wait_for
from tallyd import run_tool, stats

OPTIONS = (
    "listen", "data_dir", "redis_url", "redis_key_prefix", "sync_interval", "sync_batch_size",
    "max_pending_users", "emergency_flush_size", "max_retries", "retry_delay",
    "journal_fsync", "journal_max_bytes", "counters", "redis_timeout", "redis_repair_rate",
    "min_free_bytes", "max_users", "max_memory",
    "busy_timeout", "log_level", "allow_anonymous", "stop_timeout", "max_body_bytes",
    "max_body_memory",
    "max_connections", "idle_timeout", "request_timeout", "admin_socket", "read_socket",
    "api_token", "api_token_file", "read_token", "read_token_file", "hostnames",
    "node_secret_grace", "first_node_file")
MS = {"ms": 1, "s": 1000, "m": 60000, "min": 60000, "h": 3600000, "": 1}


def settings(text):
    """The options of an ini file."""
    found = re.findall(r"^\s*([a-z_]+)\s*=[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return dict(found)


def ms(text):
    number, unit = re.fullmatch(r"(\d+)\s*([a-z]*)", text).groups()
    return int(number) * MS[unit]


def printed(*arguments, env=None):
    done = run_tool(*arguments, "--print-config", env=env)
    assert done.returncode == 0, done.stderr
    return settings(done.stdout)


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["tallyd.conf", "small.conf", "medium.conf", "large.conf"])
def test_the_sample_files_load(name):
    done = run_tool("--config", ROOT / "config" / name, "--check-config")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name, interval, batch, pending", [
    ("small", 60000, 20, 100), ("medium", 45000, 50, 500), ("large", 30000, 100, 1000)])
def test_the_three_sizes_are_as_recommended(name, interval, batch, pending):
    found = printed("--config", ROOT / "config" / f"{name}.conf")
    assert ms(found["sync_interval"]) == interval
    assert int(found["sync_batch_size"]) == batch
    assert int(found["max_pending_users"]) == pending


def test_the_sample_file_holds_every_option_with_its_default(tmp_path):
    text = (ROOT / "config" / "tallyd.conf").read_text()
    for option in OPTIONS:
        assert re.search(rf"^[#; ]*{option}\s*=", text, re.MULTILINE), option
    empty = write(tmp_path / "empty.conf", "")
    assert printed("--config", ROOT / "config" / "tallyd.conf") == printed("--config", empty)


def test_the_defaults_are_as_documented(tmp_path):
    found = printed("--config", write(tmp_path / "empty.conf", ""))
    assert set(found) == set(OPTIONS)
    assert found["listen"] == "127.0.0.1:3000"
    assert found["data_dir"] == "/var/lib/tallyd"
    assert found["redis_url"] == "redis://127.0.0.1:6379/0"
    assert found["redis_key_prefix"] == "user:"
    assert ms(found["sync_interval"]) == 45000
    assert int(found["sync_batch_size"]) == 50
    assert int(found["max_pending_users"]) == 1000
    assert int(found["max_retries"]) == 3
    assert ms(found["retry_delay"]) == 1000
    assert found["journal_fsync"] == "everysec"
    assert ms(found["redis_timeout"]) == 500
    assert int(found["redis_repair_rate"]) == 20000
    assert ms(found["busy_timeout"]) == 1000
    assert found["log_level"] == "info"
    assert ms(found["stop_timeout"]) == 20000


@pytest.mark.smoke
def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path):
    empty = write(tmp_path / "empty.conf", "")
    path = write(tmp_path / "some.conf", "sync_interval = 11s\n")
    env = {}
    seen = [ms(printed("--config", empty)["sync_interval"])]
    seen.append(ms(printed("--config", path)["sync_interval"]))
    env["DB_SYNC_INTERVAL"] = "12000"
    seen.append(ms(printed("--config", path, env=env)["sync_interval"]))
    env["TALLYD_SYNC_INTERVAL"] = "13s"
    seen.append(ms(printed("--config", path, env=env)["sync_interval"]))
    seen.append(ms(printed("--config", path, "--sync-interval=14000", env=env)["sync_interval"]))
    assert seen == [45000, 11000, 12000, 13000, 14000]


def test_the_originals_environment_names_work(tmp_path):
    names = {
        "DB_SYNC_INTERVAL": ("sync_interval", "46000"), "SYNC_BATCH_SIZE": ("sync_batch_size", "51"),
        "MAX_PENDING_SYNC_USERS": ("max_pending_users", "1001"),
        "EMERGENCY_FLUSH_SIZE": ("emergency_flush_size", "802"),
        "MAX_RETRIES": ("max_retries", "4"), "RETRY_DELAY": ("retry_delay", "1001"),
        "REDIS_URL": ("redis_url", "redis://192.0.2.7:6380/2")}
    empty = write(tmp_path / "empty.conf", "")
    found = printed("--config", empty, env={name: value for name, (_, value) in names.items()})
    assert found.pop("redis_url") == names.pop("REDIS_URL")[1]
    for option, value in names.values():
        assert ms(found[option]) == int(value), option


def test_every_option_is_read_from_its_environment_name(tmp_path):
    empty = write(tmp_path / "empty.conf", "")
    found = printed("--config", empty, env={
        "TALLYD_JOURNAL_FSYNC": "always", "TALLYD_LISTEN": "127.0.0.1:3999",
        "TALLYD_MAX_BODY_BYTES": "3MiB", "TALLYD_MAX_CONNECTIONS": "99",
        "TALLYD_LOG_LEVEL": "debug", "TALLYD_DATA_DIR": "/somewhere"})
    assert found["journal_fsync"] == "always"
    assert found["listen"] == "127.0.0.1:3999"
    assert found["max_connections"] == "99"
    assert found["log_level"] == "debug"
    assert found["data_dir"] == "/somewhere"


def test_what_print_config_prints_reads_back_the_same(tmp_path):
    first = run_tool("--config", write(tmp_path / "empty.conf", ""), "--sync-interval=90s",
                     "--journal-max-bytes=3GiB", "--min-free-bytes=5MiB", "--idle-timeout=2m",
                     "--retry-delay=1500", "--redis-key-prefix=a:b:", "--allow-anonymous=yes",
                     "--listen=127.0.0.1:1,[::1]:2,unix:/tmp/x", "--print-config")
    assert first.returncode == 0, first.stderr
    second = run_tool("--config", write(tmp_path / "printed.conf", first.stdout),
                      "--print-config")
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert ms(settings(first.stdout)["sync_interval"]) == 90000
    assert settings(first.stdout)["listen"] == "127.0.0.1:1,[::1]:2,unix:/tmp/x"


def test_secrets_are_never_printed(tmp_path):
    empty = write(tmp_path / "empty.conf", "")
    for url in ("redis://tally:hunter2@127.0.0.1:6379/3", "redis://:hunter2@127.0.0.1"):
        done = run_tool("--config", empty, f"--redis-url={url}", "--print-config")
        assert done.returncode == 0
        assert "hunter2" not in done.stdout + done.stderr
        assert "127.0.0.1" in settings(done.stdout)["redis_url"]
    bad = run_tool("--config", empty, "--redis-url=redis://:hunter2@127.0.0.1:port/x",
                   "--check-config")
    assert bad.returncode in (64, 78)
    assert "hunter2" not in bad.stdout + bad.stderr


@pytest.mark.smoke
def test_all_mistakes_of_a_file_are_reported_at_once(tmp_path):
    path = write(tmp_path / "wrong.conf", "\n".join([
        "# a comment", "sync_intervall = 5s", "max_retries = many", "log_level = info",
        "journal_fsync = sometimes", "sync_batch_size = -1", "redis_url = http://x",
        "listen = nowhere", "max_body_bytes = 5 parsecs", ""]))
    done = run_tool("--config", path, "--check-config")
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    for number, option in ((2, "sync_intervall"), (3, "max_retries"), (5, "journal_fsync"),
                           (6, "sync_batch_size"), (7, "redis_url"), (8, "listen"),
                           (9, "max_body_bytes")):
        assert any(line.startswith(f"{path}:{number}: {option}: ") for line in lines), (
            number, option, done.stderr)
    assert any("sync_interval" in line.split("sync_intervall", 1)[1] for line in lines
               if "sync_intervall" in line), done.stderr
    assert not any(":4:" in line for line in lines)
    assert run_tool("--config", path).returncode == 78


def test_mistakes_in_the_environment_name_their_variable(tmp_path):
    empty = write(tmp_path / "empty.conf", "")
    done = run_tool("--config", empty, "--check-config", env={
        "DB_SYNC_INTERVAL": "soon", "TALLYD_MAX_RETRIES": "-3", "TALLYD_SYNC_INTERVALL": "5"})
    assert done.returncode == 78
    for name in ("DB_SYNC_INTERVAL", "TALLYD_MAX_RETRIES", "SYNC_INTERVALL"):
        assert name in done.stderr.upper(), done.stderr


@pytest.mark.parametrize("argument", [
    "--sync-intervall=5", "--nonsense", "stray", "--check-konfig"])
def test_a_wrong_command_line_is_a_usage_error(tmp_path, argument):
    done = run_tool("--config", write(tmp_path / "empty.conf", ""), argument)
    assert done.returncode == 64, done.stderr
    assert argument.strip("-").split("=")[0].replace("-", "_") in done.stderr.replace("-", "_")


def test_a_near_miss_on_the_command_line_is_guessed():
    assert "sync-interval" in run_tool("--sync-intervall=5").stderr.replace(
        "sync-intervall", "").replace("_", "-")


def test_numbers_out_of_range_are_mistakes(tmp_path):
    empty = write(tmp_path / "empty.conf", "")
    for argument in ("--sync-interval=0", "--sync-batch-size=0", "--sync-batch-size=1000000",
                     "--max-connections=0", "--sync-interval=99999999999999999999",
                     "--max-users=-1", "--retry-delay=1.5.2", "--listen=127.0.0.1:70000",
                     "--listen=", "--redis-url=redis://127.0.0.1:0x/0", "--data-dir="):
        done = run_tool("--config", empty, argument, "--check-config")
        assert done.returncode in (64, 78), (argument, done)
        assert done.stderr.strip(), argument


def test_sections_and_lines_nobody_knows_are_mistakes(tmp_path):
    for text in ("[nod hk1]\nsecret = x\n", "just words\n", "sync_interval\n"):
        path = write(tmp_path / "odd.conf", text)
        done = run_tool("--config", path, "--check-config")
        assert done.returncode == 78, (text, done)
        assert f"{path}:" in done.stderr


def test_a_missing_configuration_file_is_a_mistake(tmp_path):
    done = run_tool("--config", tmp_path / "absent.conf", "--check-config")
    assert done.returncode == 78
    assert "absent.conf" in done.stderr


@pytest.mark.smoke
def test_help_names_every_option_and_command():
    done = run_tool("--help")
    assert done.returncode == 0
    for option in OPTIONS:
        assert "--" + option.replace("_", "-") in done.stdout, option
    for command in ("--config", "--help", "--version", "--check-config", "--print-config",
                    "--dump-journal", "--salvage"):
        assert command in done.stdout, command
    for name in ("DB_SYNC_INTERVAL", "SYNC_BATCH_SIZE", "MAX_PENDING_SYNC_USERS", "REDIS_URL"):
        assert name in done.stdout, name


def test_version_is_one_line():
    done = run_tool("--version")
    assert done.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", done.stdout.splitlines()[0])


def test_check_config_touches_nothing(tmp_path):
    done = run_tool("--config", write(tmp_path / "empty.conf", ""),
                    f"--data-dir={tmp_path / 'data'}", "--check-config")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data").exists()


# What only a start can find out.

def test_an_address_in_use_is_a_configuration_error(tallyd):
    first = tallyd().start()
    second = tallyd()
    second.options["listen"] = f"127.0.0.1:{first.port}"
    code, said = second.start_and_fail()
    assert code == 78 and str(first.port) in said, said


def test_a_data_dir_that_cannot_be_made_is_a_storage_error(tallyd, tmp_path):
    (tmp_path / "file").write_text("")
    daemon = tallyd(data_dir=tmp_path / "file" / "data")
    code, said = daemon.start_and_fail()
    assert code == 74 and str(tmp_path / "file" / "data") in said, said


# SIGHUP.

@pytest.mark.smoke
def test_hangup_reloads_what_can_change_and_names_what_cannot(tallyd):
    daemon = tallyd(config="sync_interval = 40s\nmax_users = 1000\n").start()
    daemon.report(stats("alice", 1, 2))
    assert daemon.status()["config"]["syncInterval"] == 40000
    daemon.config_path.write_text(
        "sync_interval = 200\nmax_pending_users = 77\nmax_users = 2000\nlog_level = debug\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.status()["config"]["syncInterval"] == 200, "the new interval")
    assert daemon.status()["config"]["maxPendingUsers"] == 77
    wait_for(daemon.users, "a flush at the new interval")
    said = daemon.log()
    assert any("restart" in line and "max_users" in line for line in said.splitlines()), said
    assert not any("restart" in line and "sync_interval" in line for line in said.splitlines())


def test_a_broken_file_at_hangup_changes_nothing(tallyd):
    daemon = tallyd(config="sync_interval = 40s\n").start()
    daemon.expects_errors = True
    daemon.config_path.write_text("sync_interval = 200\nlog_level = loud\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "log_level" in daemon.log(), "the mistake is named")
    assert daemon.status()["config"]["syncInterval"] == 40000
    daemon.report(stats("alice", 1, 2))


def test_reports_between_hangups_are_counted(tallyd):
    daemon = tallyd(config="sync_interval = 40s\n").start()
    for interval in (1000, 30000):
        daemon.config_path.write_text(f"sync_interval = {interval}\n")
        daemon.send_signal(signal.SIGHUP)
        daemon.report(stats("alice", 1, 2))
    daemon.stop()
    assert daemon.users() == {"alice": (6, 2, 4)}


@pytest.mark.parametrize("where, url, is_warned", [
    ("argument", "redis://:hunter2@127.0.0.1:1/0", True),
    ("argument", "redis://someone:hunter2@127.0.0.1:1", True),
    ("argument", "redis://127.0.0.1:1/0", False),
    ("file", "redis://:hunter2@127.0.0.1:1/0", False),
    ("environment", "redis://:hunter2@127.0.0.1:1/0", False),
])
def test_a_password_of_redis_on_the_command_line_is_warned_of(tallyd, where, url, is_warned):
    daemon = tallyd(
        redis_url=url if where == "argument" else None,
        config=f"redis_url = {url}\n" if where == "file" else "",
        env={"TALLYD_REDIS_URL": url} if where == "environment" else None).start()
    sentence = "the password of redis_url was given on the command line"
    assert (sentence in daemon.log()) == is_warned
    assert any(sentence in warning for warning in daemon.status()["warnings"]) == is_warned
    assert "hunter2" not in daemon.log()
