"""tallyctl doctor and tallyd --check-setup: what is wrong is found, with the lines to change."""
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from admin import credential, with_socket
from client import RawClient
from deadline import BIN, wait_for
from fake_tallyd import FakeTallyd, now_ms
from ports import free_port
from tallyctl import CTL, tallyctl
from tallyd import environment, report, run_tool, stats

HOUR_MS = 3_600_000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


class Office:
    """A daemon as the README sets it up: closed, with a node that reports."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.admin = with_socket(daemon)
        self.socket = daemon.options["admin_socket"]
        self.write_config()

    def write_config(self, **options):
        self.daemon.options.update(options)
        self.daemon.config_path.write_text("".join(
            f"{name} = {value}\n" for name, value in self.daemon.options.items()))

    def open(self):
        self.daemon.start()
        self.secret = self.admin.create("hk1")["secret"]
        self.admin.do("POST", "/nodes/close")
        self.report()
        return self

    def report(self, *events, node="hk1", secret=None, expect=200):
        answer = self.daemon.post("/observer", report(*(events or [stats("alice", 1, 2)])),
                                  **credential(node, secret or self.secret))
        assert answer.status == expect, answer

    def run(self, *arguments, env=None):
        return tallyctl("doctor", "--config", self.daemon.config_path, "--socket", self.socket,
                        *arguments, env=env)

    def findings(self, *arguments, env=None):
        """{code: finding} of what is not ok; the exit code has to agree."""
        return not_ok(self.run("--json", *arguments, env=env))


def not_ok(done):
    assert done.stderr == "", done
    found = json.loads(done.stdout)["findings"]
    wrong = [one for one in found if one["level"] != "ok"]
    assert done.returncode == any(one["level"] == "problem" for one in found), done
    for one in wrong:
        assert one["sentence"] and one["change"], "each ends with the lines to change"
    return {one["code"]: one for one in wrong}


def the_only(found, code, level="problem"):
    assert list(found) == [code], found
    assert found[code]["level"] == level
    return found[code]


@pytest.fixture
def office(tallyd):
    def make(**options):
        return Office(tallyd(**options))
    return make


@pytest.fixture
def healthy(office):
    return office().open()


# Nothing is wrong.

@pytest.mark.smoke
def test_a_healthy_set_up_is_said_so_in_short_and_exits_0(healthy):
    done = healthy.run()
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Everything looks right: tallyd ")
    assert lines[1:3] == ["", "NODE  LAST REPORT  COUNTERS  SEEN OF IT  FROM"]
    assert lines[3].startswith("hk1 ") and lines[3].endswith(" delta     users       127.0.0.1")
    assert len(lines) == 4
    assert healthy.findings() == {}
    everything = healthy.run("--all").stdout
    assert f"ok: tallyd listens on 127.0.0.1:{healthy.daemon.port}\n" in everything
    assert f"with pid {healthy.daemon.process.pid}\n" in everything
    assert "warning" not in everything and "problem" not in everything


def test_check_setup_alone_says_a_line_for_each_and_exits_by_what_it_found(healthy):
    good = run_tool("--config", healthy.daemon.config_path, "--check-setup")
    assert (good.returncode, good.stderr) == (0, "")
    assert all(line.startswith("ok       ") for line in good.stdout.splitlines())
    healthy.daemon.data_dir.chmod(0o757)
    bad = run_tool("--config", healthy.daemon.config_path, "--check-setup")
    assert bad.returncode == 1
    at = next(i for i, line in enumerate(bad.stdout.splitlines()) if line.startswith("problem  "))
    assert bad.stdout.splitlines()[at + 1] == f"             chmod o-w {healthy.daemon.data_dir}"
    healthy.daemon.data_dir.chmod(0o750)
    assert run_tool("--json", "--check-config").returncode == 64


def snapshot(directory):
    return {path.relative_to(directory): (path.stat().st_mtime_ns, path.stat().st_ino,
                                          path.read_bytes() if path.is_file() else sorted(
                                              os.listdir(path)))
            for path in [directory, *directory.rglob("*")]}


@pytest.mark.parametrize("is_killed", [False, True])
def test_it_writes_nothing_whether_a_daemon_was_stopped_or_killed(healthy, is_killed):
    daemon = healthy.daemon
    if is_killed:
        daemon.kill()
    else:
        daemon.stop()
    before = snapshot(daemon.data_dir)
    the_only(healthy.findings(), "daemon-down")
    assert snapshot(daemon.data_dir) == before
    daemon.start()


def test_it_disturbs_no_daemon_that_is_running(healthy):
    before = healthy.daemon.log()
    healthy.findings()
    assert healthy.daemon.log() == before
    healthy.report()


# The daemon.

def test_a_daemon_that_does_not_run_is_a_finding_with_the_last_lines_of_its_log(healthy, tmp_path):
    healthy.daemon.stop()
    journal = tmp_path / "bin" / "journalctl"
    journal.parent.mkdir()
    journal.write_text("#!/bin/sh\necho 'cannot start: reason=\"some\"'\necho \"$@\"\n")
    journal.chmod(0o755)
    found = the_only(healthy.findings(
        env={"PATH": f"{journal.parent}:{os.environ['PATH']}"}), "daemon-down")
    assert found["log"][0] == 'cannot start: reason="some"'
    assert "--unit=tallyd" in found["log"][1]
    assert found["change"] == ["systemctl status tallyd", "journalctl -u tallyd -n 20"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "log" not in the_only(healthy.findings(env={"PATH": str(empty)}), "daemon-down")
    healthy.daemon.start()


def test_a_daemon_that_runs_but_is_asked_at_the_wrong_place_is_told_apart(healthy, tmp_path):
    done = tallyctl("doctor", "--json", "--config", healthy.daemon.config_path,
                    "--socket", tmp_path / "none.sock")
    assert "it runs" in the_only(not_ok(done), "daemon-down")["sentence"]


def test_who_has_no_right_is_told_to_use_sudo(healthy):
    done = tallyctl("doctor", "--json", "--config", healthy.daemon.config_path,
                    "--url", f"http://127.0.0.1:{healthy.daemon.port}")
    assert the_only(not_ok(done), "no-right", "warning")["change"] == [
        f"sudo tallyctl doctor --config {healthy.daemon.config_path}"]


@needs_root
def test_a_machine_that_may_not_be_looked_at_says_run_it_with_sudo(healthy):
    with tempfile.TemporaryDirectory() as directory:  # which others may enter, unlike tmp_path
        os.chmod(directory, 0o755)
        for program in (CTL, BIN):
            shutil.copy(program, directory)
        config = pathlib.Path(directory) / "tallyd.conf"
        shutil.copy(healthy.daemon.config_path, config)
        data = pathlib.Path(directory) / "data"
        data.mkdir(mode=0o700)
        config.write_text(f"data_dir = {data}\nredis_url = none\nlisten = "
                          f"127.0.0.1:{healthy.daemon.port}\n")

        def run():
            done = subprocess.run(
                ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                 f"{directory}/tallyctl", "doctor", "--json", "--config", str(config), "--url",
                 f"http://127.0.0.1:{healthy.daemon.port}"], env=environment(),
                capture_output=True, text=True, check=False)
            return [one for one in json.loads(done.stdout)["findings"] if one["level"] != "ok"]

        for one in run():
            assert one["change"] == [f"sudo tallyctl doctor --config {config}"], one
        assert any(str(data) in one["sentence"] and "sudo" in one["sentence"] for one in run())
        config.chmod(0o600)
        found = run()
        assert found[0]["code"] == "configuration" and str(config) in found[0]["sentence"]
        assert found[0]["change"] == [f"sudo tallyctl doctor --config {config}"]


def test_another_machine_is_asked_and_its_files_are_left_out_with_a_sentence(tmp_path):
    server = FakeTallyd()
    server.api.status_data = {"version": "9.8.7", "uptimeSeconds": 60}
    url = server.url.replace("127.0.0.1", "0.0.0.0")  # which leads here as well
    done = tallyctl("doctor", "--url", url, "--config", tmp_path / "none")
    server.close()
    assert "another machine" in done.stdout and "none" not in done.stdout.split("Not looked")[1]
    assert "Redis at" not in done.stdout


def test_a_tallyd_that_knows_no_such_command_is_told(healthy, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    (old / "tallyd").write_text("#!/bin/sh\nexit 64\n")
    (old / "tallyd").chmod(0o755)
    shutil.copy(CTL, old)
    config = healthy.daemon.config_path
    done = subprocess.run([old / "tallyctl", "doctor", "--json", "--socket", healthy.socket,
                           "--config", config],
                          env=environment(), capture_output=True, text=True, check=False)
    skipped = the_only(not_ok(done), "setup-skipped", "warning")
    assert "code 64" in skipped["sentence"]
    assert skipped["change"] == [f"tallyd --config {config} --check-setup"]
    (old / "tallyd").unlink()
    done = subprocess.run([old / "tallyctl", "doctor", "--json", "--socket", healthy.socket],
                          env=environment({"PATH": str(tmp_path)}), capture_output=True,
                          text=True, check=False)
    assert "neither beside" in the_only(not_ok(done), "setup-skipped", "warning")["sentence"]


def test_what_was_found_of_another_configuration_is_left_out_with_its_data_dir(healthy, office):
    daemon = healthy.daemon
    other = office(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_timeout="1s",
                   listen=f"127.0.0.1:{daemon.port}", data_dir=daemon.directory / "other")
    config = other.daemon.config_path
    found = the_only(not_ok(tallyctl("doctor", "--json", "--config", config, "--socket",
                                     healthy.socket)), "setup-skipped", "warning")
    assert f"the running tallyd has data_dir {daemon.data_dir}, but" in found["sentence"]
    assert f"says {daemon.directory / 'other'}:" in found["sentence"]
    assert found["change"][0].startswith("tallyctl doctor --config FILE ")
    assert found["change"][1].startswith(f"data_dir = {daemon.data_dir}   # in {config}, ")
    link = daemon.directory / "link"
    link.symlink_to(daemon.data_dir)
    healthy.write_config(data_dir=link)
    assert healthy.findings() == {}, "it is the same one"


def test_a_redis_that_the_running_daemon_does_not_have_is_not_judged(office, redis):
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    wait_for(lambda: place.admin.status()["redis"]["state"] == "up", "Redis is up")
    other = f"127.0.0.1:{free_port()}/0"
    found = place.findings(env={"TALLYD_REDIS_URL": f"redis://{other}"})
    assert set(found) == {"redis-other", "rights"}
    assert f"has Redis at 127.0.0.1:{redis.port}/0, but" in found["redis-other"]["sentence"]
    assert other in found["redis-other"]["sentence"]


def test_the_socket_of_the_environment_is_no_address_of_another_program(healthy):
    env = {"TALLYD_ADMIN_SOCKET": str(healthy.socket), "TALLYD_REDIS_URL": "none",
           "TALLYD_DATA_DIR": str(healthy.daemon.directory / "other")}
    the_only(not_ok(tallyctl("doctor", "--json", env=env)), "setup-skipped", "warning")


# What only the machine knows.

def test_each_mistake_of_the_configuration_is_a_finding(healthy):
    healthy.daemon.config_path.write_text("listten = 1\nsync_interval = soon\n")
    done = healthy.run("--json")
    path = healthy.daemon.config_path
    found = [one for one in json.loads(done.stdout)["findings"] if one["code"] == "configuration"]
    assert done.returncode == 1 and len(found) == 2
    assert f"{path}:1: listten" in found[0]["sentence"]
    assert found[0]["change"] == [f"tallyd --config {path} --check-config"]


@pytest.mark.parametrize("option, value", [
    ("listen", "0.0.0.0:{port}"), ("allow_anonymous", "yes"), ("journal_fsync", "no"),
    ("min_free_bytes", "0"), ("sync_interval", "2h"), ("max_body_bytes", "64KiB"),
    ("emergency_flush_size", "5000")])
def test_what_is_legal_but_odd_is_warned_of(office, option, value):
    place = office()
    place.write_config(**{option: value.format(port=place.daemon.port)})
    found = place.findings()
    assert set(found) == {"configuration", "daemon-down"}
    assert found["configuration"]["change"][0].startswith(f"{option} = ")


def test_a_configuration_that_everybody_reads_and_that_holds_a_secret_is_warned_of(office):
    place = office()
    place.write_config(api_token="sixteen-characters")
    place.daemon.config_path.chmod(0o644)
    assert "holds a secret" in place.findings()["configuration"]["sentence"]
    place.daemon.config_path.chmod(0o640)
    assert "configuration" not in place.findings()


@pytest.mark.parametrize("name, mode, code, line", [
    ("", 0o752, "writable", "chmod o-w {}"),
    ("key", 0o640, "key", "chmod 600 {}/key"),
    ("tally.db", 0o666, "writable", "chmod go-w {}/tally.db"),
    ("journal", 0o777, "writable", "chmod go-w {}/journal"),
    ("lock", 0o666, "writable", "chmod go-w {}/lock")])
def test_wrong_rights_in_data_dir_are_found(healthy, name, mode, code, line):
    path = healthy.daemon.data_dir / name
    before = path.stat().st_mode
    path.chmod(mode)
    found = the_only(healthy.findings(), code)
    assert found["change"] == [line.format(healthy.daemon.data_dir)]
    path.chmod(before)
    assert healthy.findings() == {}


def test_a_link_in_the_place_of_a_file_is_found(healthy):
    healthy.daemon.stop()
    key = healthy.daemon.data_dir / "key"
    key.rename(healthy.daemon.directory / "key")
    key.symlink_to(healthy.daemon.directory / "key")
    assert set(healthy.findings()) == {"symbolic-link", "daemon-down"}
    key.unlink()
    (healthy.daemon.directory / "key").rename(key)
    (healthy.daemon.data_dir / "lock").unlink()
    (healthy.daemon.data_dir / "lock").symlink_to(key)
    assert set(healthy.findings()) == {"symbolic-link", "daemon-down"}
    (healthy.daemon.data_dir / "lock").unlink()
    healthy.daemon.start()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_fifo_or_a_folder_in_the_place_of_a_file_is_found_and_not_waited_for(healthy, make):
    healthy.daemon.stop()
    for name in ("tally.db", "tally.db-wal", "key", "lock"):
        path, aside = healthy.daemon.data_dir / name, healthy.daemon.directory / "aside"
        if path.exists():
            path.rename(aside)
        make(path, 0o640)
        found = healthy.findings()["no-file"]
        assert found["change"] == [f"mv {path} {path}.not-ours"]
        code, said = healthy.daemon.start_and_fail()
        assert code == 74 and f"{path} is a " in said and "move it away" in said, said
        path.rmdir() if make == os.mkdir else path.unlink()
        if aside.exists():
            aside.rename(path)
    segment = healthy.daemon.data_dir / "journal" / "0000000009.seg"
    make(segment, 0o640)
    for arguments in (), ("--dump-journal",):
        done = healthy.daemon.run(*arguments)
        assert done.returncode == 74 and f"journal/{segment.name} is a " in done.stderr, done
    segment.rmdir() if make == os.mkdir else segment.unlink()
    healthy.daemon.start()


def test_a_database_that_everybody_reads_is_warned_of(healthy):
    healthy.daemon.data_dir.chmod(0o755)
    (healthy.daemon.data_dir / "tally.db").chmod(0o644)
    assert healthy.findings()["readable"]["level"] == "warning"


@needs_root
def test_files_of_another_user_are_found(healthy):
    segment = next((healthy.daemon.data_dir / "journal").iterdir())
    os.chown(segment, 65534, 65534)
    found = the_only(healthy.findings(), "owner")
    assert str(segment) in found["sentence"] and found["change"][0].startswith("chown -R root ")
    os.chown(segment, 0, 0)


@needs_root
def test_files_of_another_user_that_tallyd_does_not_use_are_none_of_its_business(healthy):
    for folder in (healthy.daemon.data_dir, healthy.daemon.data_dir / "journal"):
        (folder / "lost+found").mkdir()  # of a disk of its own
        os.chown(folder / "lost+found", 65534, 65534)
    assert healthy.findings() == {}


def test_a_journal_that_was_moved_away_before_the_start_is_warned_of(healthy):
    healthy.daemon.stop()
    (healthy.daemon.data_dir / "journal").rename(healthy.daemon.directory / "moved")
    assert healthy.findings()["journal"]["level"] == "warning"
    (healthy.daemon.directory / "moved").rename(healthy.daemon.data_dir / "journal")
    healthy.daemon.start()


def test_a_database_that_cannot_be_read_is_found(healthy):
    healthy.daemon.stop()
    database = healthy.daemon.database
    good = database.read_bytes()
    database.write_bytes(b"no database at all" * 1000)
    assert set(healthy.findings()) == {"database", "daemon-down"}
    database.write_bytes(good)
    healthy.daemon.sql("pragma user_version = 99")
    assert "newer" in healthy.findings()["database"]["sentence"]
    database.write_bytes(good)
    healthy.daemon.start()


def test_too_little_space_is_found_and_what_it_means_for_reports(office):
    place = office(min_free_bytes="1TiB")
    place.daemon.spawn()
    place.daemon.expects_errors = True
    wait_for(lambda: "daemon-down" not in place.findings(), "it answers")
    found = place.findings()
    assert "503" in found["disk-low"]["sentence"]
    assert found["journal-error"]["sentence"].startswith("no report is accepted: less than")
    assert "inodes" not in found["disk-low"]["sentence"]
    assert any(line.endswith(str(place.daemon.data_dir))
               for line in found["journal-error"]["change"])
    assert found["disk-low"]["level"] == found["journal-error"]["level"] == "problem"


def test_little_space_is_told_in_numbers_that_are_not_0(office, small_disk):
    disk = small_disk(3 << 20)
    place = office(data_dir=disk.outside)
    disk.fill(leave_bytes=40960)
    sentence = place.findings()["disk-low"]["sentence"]
    assert "only 40 KiB are free in " in sentence and "min_free_bytes, 153 KiB" in sentence, sentence


def test_a_data_dir_whose_parent_is_missing_is_not_made_by_the_start(office):
    place = office()
    parent = place.daemon.directory / "no" / "such"
    place.write_config(data_dir=parent / "data")
    found = place.findings()
    assert set(found) == {"data-dir", "daemon-down"}
    assert f"{parent} is not there" in found["data-dir"]["sentence"]
    assert found["data-dir"]["change"] == [f"mkdir -p {parent}"]
    assert place.daemon.start_and_fail()[0] == 74
    subprocess.run(found["data-dir"]["change"][0], shell=True, check=True)
    the_only(place.findings(), "daemon-down")


@needs_root
@pytest.mark.parametrize("is_made", [True, False])
def test_who_asks_is_told_that_tallyd_cannot_write_as_that_user(is_made):
    with tempfile.TemporaryDirectory() as directory:  # which others may enter, unlike tmp_path
        os.chmod(directory, 0o755)
        program, data = shutil.copy(BIN, directory), pathlib.Path(directory) / "data"
        if is_made:
            data.mkdir(mode=0o755)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program,
             "--config=/dev/null", "--redis-url=none", f"--listen=127.0.0.1:{free_port()}",
             f"--data-dir={data}", "--check-setup"], env=environment(), capture_output=True,
            text=True, check=False)
    said = done.stdout[done.stdout.index("warning "):]
    assert f"start as user nobody, who cannot write {data if is_made else directory}\n" in said
    assert said.splitlines()[1].strip() == "sudo -u root tallyd --config /dev/null"


def test_a_clock_that_is_behind_what_was_counted_is_found(healthy):
    healthy.daemon.stop()
    healthy.daemon.sql("update services set updated_at = ?", now_ms() + HOUR_MS)
    found = healthy.findings()
    assert set(found) == {"clock", "daemon-down"} and found["clock"]["level"] == "problem"
    healthy.daemon.sql("update services set updated_at = ?", now_ms())
    healthy.daemon.start()


# What is taken away, or may not be written.

def problems(place):
    found = json.loads(place.run("--json").stdout)["findings"]
    return [one for one in found if one["level"] == "problem"]


def put_back(daemon, name="tally.db"):
    """A file that was deleted, from who has it open; then it ends without a flush."""
    for entry in pathlib.Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # it was closed meanwhile
            continue
        if pathlib.Path(target.split(" ")[0]).name.startswith(name) and "(deleted)" in target:
            shutil.copy(entry, daemon.data_dir / pathlib.Path(target.split(" ")[0]).name)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_deleted_or_replaced_database_comes_first_and_redis_is_not_judged(
        office, redis, is_replaced):
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    place.daemon.expects_errors = True
    for path in place.daemon.data_dir.glob("tally.db*"):
        path.unlink()
    if is_replaced:
        place.daemon.database.write_bytes(b"")
    found = problems(place)
    assert found[0]["code"] == "database-gone" and "do not stop tallyd" in found[0]["sentence"]
    assert "redis-foreign" not in [one["code"] for one in found]
    lines = "".join(line for one in found for line in one["change"])
    assert "take-over" not in lines and "restart" not in lines
    put_back(place.daemon)
    place.daemon.kill()


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_data_dir_that_is_gone_is_no_reason_to_end_the_very_daemon(healthy, is_deleted):
    daemon = healthy.daemon
    daemon.expects_errors = True
    moved = daemon.directory / "moved"
    if is_deleted:
        shutil.rmtree(daemon.data_dir)
    else:
        daemon.data_dir.rename(moved)
    found = problems(healthy)
    assert found[0]["code"] == "data-dir-gone" and "do not stop tallyd" in found[0]["sentence"]
    assert f"pid {daemon.process.pid}" in found[0]["sentence"]
    assert not any("end that one" in one["sentence"] for one in found)
    if is_deleted:
        def failed():
            healthy.admin.ask("POST", "/force-sync")
            return [one for one in problems(healthy) if one["code"] == "sync-failed"]
        flush = wait_for(failed, "a flush has failed")[0]
        assert "only this process holds what was accepted" in flush["sentence"]
        daemon.kill()
    else:
        assert found[0]["change"][0].startswith(f"mv {moved} {daemon.data_dir}   #")
        moved.rename(daemon.data_dir)


def test_a_second_tallyd_on_the_address_of_the_first_is_not_told_to_take_its_data_dir(
        healthy, office):
    first = healthy.daemon
    second = office(listen=f"127.0.0.1:{first.port}")
    second.write_config()
    gone = problems(second)[0]
    assert "another tallyd" in gone["sentence"] and f"pid {first.process.pid}" in gone["sentence"]
    assert f"mv {first.data_dir} {second.daemon.data_dir}   # if it was moved" in gone["change"]
    assert any(line.startswith("listen = ") for line in gone["change"])


def write_unit(place, user):
    """A service that starts tallyd with this configuration as that user."""
    folder = place.daemon.directory / "units"
    folder.mkdir(exist_ok=True)
    (folder / "tallyd.service").write_text(
        f"[Service]\nUser={user}\nExecStart=/usr/local/bin/tallyd "
        f"--config={place.daemon.config_path}\n")
    return {"SYSTEMD_UNIT_PATH": str(folder)}


@contextlib.contextmanager
def place_of(user, office):
    """Where that user can come, unlike tmp_path; stopped, and all of it is the user's."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        place = office(data_dir=pathlib.Path(directory) / "data")
        config = pathlib.Path(directory) / "tallyd.conf"
        place.daemon.config_path.rename(config)
        place.daemon.config_path = config
        place.daemon.data_dir = place.daemon.options["data_dir"]
        place.daemon.options["admin_socket"] = place.socket
        place.write_config()
        place.open()
        place.daemon.stop()
        config.chmod(0o644)
        subprocess.run(["chown", "-R", user, place.daemon.data_dir], check=True)
        yield place


@needs_root
def test_a_stopped_tallyd_is_compared_with_the_user_of_its_unit(office):
    with place_of("nobody", office) as place:
        env, data_dir = write_unit(place, "nobody"), place.daemon.data_dir
        the_only(place.findings(env=env), "daemon-down")
        os.chown(data_dir, 0, 0)
        found = place.findings(env=env)
        assert set(found) == {"owner", "daemon-down"}
        assert f"{data_dir} belongs to root, but tallyd runs as nobody" in found[
            "owner"]["sentence"]
        assert found["owner"]["change"] == [f"chown -R nobody {data_dir}"]
        os.chown(data_dir, 65534, 65534)
        os.chown(data_dir / "tally.db", 0, 0)
        assert str(data_dir / "tally.db") in place.findings(env=env)["owner"]["sentence"]


@needs_root
@pytest.mark.parametrize("name, mode", [
    ("journal", 0o500), ("", 0o500), ("tally.db", 0o400), ("../tallyd.conf", 0o600)])
def test_what_the_user_of_the_unit_may_not_do_is_found_before_the_start(office, name, mode):
    with place_of("nobody", office) as place:
        path = place.daemon.data_dir / name
        path.chmod(mode)
        env = write_unit(place, "nobody")
        found = place.findings(env=env)
        code = "configuration" if "conf" in name else "rights-missing"
        assert set(found) == {code, "daemon-down"}
        assert "user nobody" in found[code]["sentence"] and path.name in found[code]["sentence"]
        subprocess.run(found[code]["change"][0], shell=True, check=True)
        the_only(place.findings(env=env), "daemon-down")


@needs_root
def test_a_running_tallyd_that_may_not_write_gets_one_line_and_no_restart(office):
    with place_of("nobody", office) as place:
        data_dir = place.daemon.data_dir
        place.daemon.wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        programs = data_dir.parent / "bin"
        programs.mkdir()
        place.daemon.binary = shutil.copy(BIN, programs / "tallyd")
        place.socket = place.daemon.options["admin_socket"] = data_dir / "admin.sock"
        place.write_config()
        place.daemon.start()
        place.daemon.expects_errors = True
        os.chown(data_dir, 0, 0)
        try:
            found = problems(place)
        finally:
            os.chown(data_dir, 65534, 65534)
        assert [one["code"] for one in found if "own" in one["code"]][0] == "owner"
        lines = [line for one in found for line in one["change"]]
        assert [line for line in lines if "chown" in line] == [f"chown -R nobody {data_dir}"]
        assert not any("restart" in line or "put that very" in line for line in lines)
        assert "do not stop tallyd" in found[0]["sentence"]


def test_a_corrupt_journal_of_a_stopped_tallyd_is_found_and_nothing_is_written(healthy):
    daemon = healthy.daemon
    for i in range(3):
        healthy.report(stats("alice", i, 1))
    daemon.expects_errors = True
    daemon.kill()
    segment = max((daemon.data_dir / "journal").glob("*.seg"),
                  key=lambda path: len(path.read_bytes().rstrip(b"\0")))
    data = bytearray(segment.read_bytes())
    data[200] ^= 0xff
    segment.write_bytes(data)
    daemon.start_and_fail()
    before = snapshot(daemon.data_dir)
    found = healthy.findings()
    assert set(found) == {"journal-corrupt", "daemon-down"}
    assert segment.name in found["journal-corrupt"]["sentence"]
    line = f"tallyd --config {daemon.config_path} --salvage "  # of no other data_dir
    assert any(line in change for change in found["journal-corrupt"]["change"])
    assert snapshot(daemon.data_dir) == before


# Redis.

def test_a_redis_that_is_down_is_found_once(office, redis):
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    redis.kill()
    wait_for(lambda: place.admin.status()["redis"]["state"] == "down", "it was noticed")
    found = place.findings()
    assert set(found) == {"redis-down", "rights"}
    assert "Connection refused" in found["redis-down"]["sentence"]
    assert f"127.0.0.1:{redis.port}" in found["redis-down"]["sentence"]


def test_a_redis_of_another_is_found_with_both_ways_out(office, redis):
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    assert set(place.findings()) == {"rights"}
    redis.ask("SET", "tallyd:instance", "f" * 32)
    place.daemon.expects_errors = True
    found = place.findings()["redis-foreign"]
    assert found["level"] == "problem" and "f" * 32 in found["sentence"]
    assert any("--take-over-redis=adopt" in line for line in found["change"])
    client = redis.client()
    client("SELECT", "1")
    client("SET", "tallyd:instance", "e" * 32)
    client.close()
    line = f"redis_url = redis://127.0.0.1:{redis.port}/2"
    assert place.findings()["redis-foreign"]["change"][0] == line, "1 is another's, too"


def test_a_database_number_that_redis_does_not_have_is_told_apart_from_no_redis(office, redis):
    place = office(redis_url=f"redis://127.0.0.1:{redis.port}/99", redis_timeout="5s").open()
    wait_for(lambda: place.admin.status()["redis"]["state"] == "down", "it was noticed")
    found = place.findings()["redis-database"]
    assert "is there, but has no database of that number: ERR " in found["sentence"]
    assert found["change"][0] == f"redis_url = redis://127.0.0.1:{redis.port}/0"
    assert "to a database that Redis has" in place.daemon.log()


def test_a_redis_is_not_called_anothers_where_the_database_was_lost(office, redis):
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    first = place.daemon.data_dir / "journal" / "0000000001.seg"
    place.admin.do("POST", "/force-sync")
    wait_for(lambda: not first.exists(), "what is in the database is in the journal no more")
    place.report()
    place.daemon.kill()
    place.daemon.database.rename(place.daemon.directory / "moved")
    assert set(place.findings()) == {"journal-corrupt", "rights", "daemon-down"}
    (place.daemon.directory / "moved").rename(place.daemon.database)
    place.daemon.start()


def test_a_redis_that_wants_a_password_or_asks_for_none_or_evicts_is_found(office, make_redis):
    redis = make_redis("--maxmemory-policy", "allkeys-lru").start()
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    found = place.findings()
    assert set(found) == {"rights", "redis-evicts"}
    assert found["redis-evicts"]["change"] == ["maxmemory-policy noeviction"]
    assert found["rights"]["change"][0] == "requirepass PASSWORD"
    redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert set(place.findings()) == {"rights"}, "the daemon connected before"
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    redis.ask("CONFIG", "SET", "requirepass", "pass")
    place.daemon.stop()
    found = place.findings()
    assert set(found) == {"redis-password", "daemon-down"}
    assert f"redis_url = redis://default:PASSWORD@127.0.0.1:{redis.port}/0" in found[
        "redis-password"]["change"]
    place.write_config(redis_url=f"redis://default:pass@127.0.0.1:{redis.port}/0")
    place.daemon.config_path.chmod(0o600)
    assert set(place.findings()) == {"redis-evicts", "daemon-down"}
    place.daemon.start()


def test_a_redis_that_does_not_tell_of_edits_is_found_with_the_rights_that_it_takes(office, redis):
    place = office(redis_url=redis.url_that_tells_nothing(), redis_timeout="5s").open()
    wait_for(lambda: place.admin.status()["redis"]["edits"] == "walked", "they are looked for")
    found = place.findings()["redis-edits"]
    assert found["level"] == "warning"
    assert found["change"][0].startswith(
        "ACL SETUSER tallyd +subscribe +client|tracking +client|id &__redis__:invalidate")
    assert "edits by others: they are looked for" in tallyctl("status", "--socket", place.socket).stdout
    redis.ask("ACL", "SETUSER", "blind", "+client|tracking")
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    wait_for(lambda: place.admin.status()["redis"]["edits"] == "told", "Redis tells of edits")
    assert "redis-edits" not in place.findings()
    assert "looked for" not in tallyctl("status", "--socket", place.socket).stdout


def test_a_password_that_redis_does_not_have_is_found_with_the_line_that_sets_it(office, redis):
    place = office(redis_url=f"redis://:pass@127.0.0.1:{redis.port}/0", redis_timeout="5s")
    found = place.findings()["redis-password"]
    assert "without any password" in found["sentence"]
    assert found["change"] == ["requirepass PASSWORD   # in redis.conf: the one in redis_url",
                               "systemctl restart redis-server"]


def test_a_redis_that_never_answers_holds_nobody_up(office):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = office(redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0",
                       redis_timeout="300ms")
        found = place.findings()
    assert "timeout" in found["redis-down"]["sentence"]


def test_a_password_that_was_written_but_not_taken_over_asks_for_a_restart(office, redis):
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    redis.ask("CONFIG", "SET", "requirepass", "pass")
    redis.password = "pass"
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    wait_for(lambda: "NOAUTH" in (place.admin.status()["redis"]["error"] or ""),
             "it was noticed")
    found = place.findings()
    assert "NOAUTH" in found["redis-password"]["sentence"]
    assert ".;" not in found["redis-password"]["sentence"]
    url = place.daemon.options["redis_url"]
    place.write_config(redis_url=f"redis://default:pass@127.0.0.1:{redis.port}/0")
    place.daemon.config_path.chmod(0o600)
    found = place.findings()["redis-down"]
    assert found["change"] == ["systemctl restart tallyd"]
    place.daemon.options["redis_url"] = url


def test_the_ways_out_of_a_foreign_redis_keep_password_and_configuration(office, make_redis):
    redis = make_redis().start()
    place = office(redis_url=f"redis://default:pass@127.0.0.1:{redis.port}/0",
                   redis_timeout="5s").open()
    place.daemon.stop()
    redis.ask("SET", "tallyd:instance", "f" * 32)
    redis.ask("CONFIG", "SET", "requirepass", "pass")
    redis.password = "pass"
    place.daemon.config_path.chmod(0o600)
    lines = place.findings()["redis-foreign"]["change"]
    assert lines[0] == f"redis_url = redis://default:PASSWORD@127.0.0.1:{redis.port}/1"
    for line in lines[1:]:
        assert f"tallyd --config {place.daemon.config_path} --take-over-redis=" in line
        assert "until it logs `Redis shows the ledger`, then Ctrl-C" in line


def test_a_key_that_is_no_hash_is_found_with_its_user_and_the_line_that_mends_it(office, redis):
    redis.ask("RPUSH", "user:alice", "1")
    place = office(redis_url=redis.url, redis_timeout="5s").open()
    wait_for(lambda: place.admin.status()["redis"]["refusedUsers"] == 1, "it was refused")
    found = place.findings()["redis-refused"]
    assert "user alice: WRONGTYPE" in found["sentence"]
    assert any(line.startswith("redis-cli del user:ID") for line in found["change"])


# The addresses.

@pytest.mark.parametrize("theirs", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_another_program_has_is_found_with_its_name(healthy, theirs):
    healthy.daemon.stop()
    with socket.create_server((theirs, healthy.daemon.port)):
        found = healthy.findings()
    assert set(found) == {"port", "daemon-down"}
    assert f"with pid {os.getpid()}" in found["port"]["sentence"]
    assert found["port"]["level"] == "problem"
    healthy.daemon.start()


def test_sockets_and_addresses_that_cannot_be_had_are_found(office):
    place = office()
    with tempfile.TemporaryDirectory() as directory:  # short, as a line has to be
        place.write_config(listen=f"192.0.2.1:3000, unix:{directory}, "
                                  f"unix:{directory}/none/sock, 127.0.0.1:{free_port()}")
        done = place.run("--json")
    ports = [one["sentence"] for one in json.loads(done.stdout)["findings"]
             if one["code"] == "port" and one["level"] == "problem"]
    assert len(ports) == 3 and "no such address" in ports[0]
    assert "File exists" in ports[1] and "No such file" in ports[2]


@pytest.mark.parametrize("name", ["admin_socket", "read_socket"])
def test_a_socket_that_cannot_be_had_is_found_with_its_own_option(office, name):
    place = office()
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as taken:
        taken.bind(f"{directory}/taken")
        taken.listen()
        place.write_config(**{name: f"{directory}/taken"})
        assert place.findings()["port"]["change"] == [
            "ss -lxnp   # who listens where", f"{name} = auto"]
        place.write_config(**{name: f"{directory}/none/sock"})
        assert place.findings()["port"]["change"] == [f"{name} = auto"]


def test_an_address_that_the_running_daemon_does_not_serve_is_found(healthy):
    healthy.write_config(listen=f"127.0.0.1:{free_port()}")
    assert "another configuration" in the_only(healthy.findings(), "port")["sentence"]


# What arrives.

# It names no name of its own: whoever has another one would take it for the fault.
OBSERVER_LINE = ("observer: NAME   # in the service and in its handler: the very name of the entry of "
                 "observers: that has this plugin; GOST takes any other, and reports to nobody")


def test_no_report_ever_is_found_with_the_lines_for_gost(office):
    place = office()
    place.daemon.start()
    found = place.findings()
    assert found["no-reports"]["level"] == "problem"
    assert found["no-reports"]["change"][0].startswith("tallyctl node add ")
    place.admin.create("hk1")
    place.admin.do("POST", "/nodes/close")
    lines = the_only(place.findings(), "no-reports")["change"]
    assert lines == [OBSERVER_LINE, "type: http", "addr: http://NODE:SECRET@HOST:PORT/observer"]


def test_a_node_that_never_reported_or_is_disabled_is_named(healthy):
    healthy.admin.create("hk 2")
    found = the_only(healthy.findings(), "node-never", "warning")
    assert "node hk 2 has never reported" in found["sentence"]
    assert found["change"] == [OBSERVER_LINE, "type: http",
                               "addr: http://hk%202:SECRET@HOST:PORT/observer"]
    healthy.admin.set("hk%202", enabled=False)
    found = the_only(healthy.findings(), "node-disabled", "warning")
    assert found["change"] == ["tallyctl node set 'hk 2' --enable"]
    healthy.admin.delete("hk%202")
    assert healthy.findings() == {}


def test_a_silent_node_is_named_with_the_time_since(healthy):
    healthy.daemon.stop()
    healthy.daemon.sql("update services set updated_at = ?", now_ms() - 3 * HOUR_MS)
    healthy.daemon.start()
    found = the_only(healthy.findings(), "node-silent", "warning")
    assert "node hk1 has been silent since" in found["sentence"] and "(3 h ago)" in found["sentence"]


def test_a_wrong_secret_is_found_and_is_over_once_the_node_reports(healthy):
    for _ in range(3):
        healthy.report(secret="wrong", expect=401)
    found = the_only(healthy.findings(), "refused-unauthorized")
    assert "node hk1 at 127.0.0.1 was refused 3 times" in found["sentence"]
    assert found["change"][0].startswith("tallyctl node secret hk1 --secret-stdin")
    healthy.report(node="jp1", secret="x", expect=401)
    done = json.loads(healthy.run("--json").stdout)["findings"]
    unknown = [one for one in done if "somebody at" in one["sentence"]]
    assert unknown[0]["change"][1] == "tallyctl node add NODE --secret-stdin"
    time.sleep(0.002)  # times are in ms
    healthy.report()
    assert all("hk1" not in one["sentence"] for one in healthy.findings().values())


@pytest.mark.parametrize("data, code, line", [
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "refused-http2", "type: http"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), "refused-tls", "addr: http://"),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "refused-not_found",
     "addr: http://NODE:SECRET@HOST:PORT/observer")])
def test_what_arrives_at_the_door_and_is_no_report_is_found_with_its_remedy(
        healthy, data, code, line):
    client = RawClient(healthy.daemon.address)
    client.send(data)
    found = wait_for(lambda: healthy.findings(), "it was noted")
    client.close()
    assert any(one.startswith(line) for one in the_only(found, code)["change"])


def test_a_panel_without_the_right_token_is_not_taken_for_a_gost(healthy):
    bad = healthy.admin.ask("POST", "/nodes", {"nam": "hk1"})  # who asks was told
    wrong = healthy.daemon.post("/force-sync", b"", **credential("x", "no-such-secret"))
    assert (bad.status, wrong.status) == (400, 401)
    found = the_only(healthy.findings(), "refused-unauthorized", "warning")
    assert "POST /force-sync" in found["sentence"]
    assert [line.split(" ")[0] for line in found["change"]] == ["Authorization:"]


def test_who_only_looks_around_is_no_finding(healthy):
    for path in ("/", "/favicon.ico", "/wp-login.php"):
        assert healthy.daemon.get(path).status == 404
    assert healthy.findings() == {}


def test_a_refused_node_is_not_called_silent_or_never_seen(healthy):
    jp1 = healthy.admin.create("jp1")["secret"]
    assert set(healthy.findings()) == {"node-never"}
    healthy.report(node="jp1", secret="wrong", expect=401)
    the_only(healthy.findings(), "refused-unauthorized")
    shown = tallyctl("node", "show", "jp1", "--socket", healthy.socket).stdout
    assert "was refused" in shown and "never reported" not in shown
    time.sleep(0.002)  # times are in ms
    healthy.report(node="jp1", secret=jp1)
    assert healthy.findings() == {}


def test_a_first_node_that_is_refused_is_not_told_to_write_an_observer(office):
    place = office()
    place.daemon.start()
    place.admin.create("hk1")
    place.admin.do("POST", "/nodes/close")
    assert set(place.findings()) == {"no-reports"}
    place.report(secret="wrong", expect=401)
    the_only(place.findings(), "refused-unauthorized")


def test_a_name_that_was_none_of_a_node_is_over_once_it_is_made_and_reports(healthy):
    healthy.report(node="f7", secret="some", expect=401)
    assert 'name sent: "f7"' in the_only(healthy.findings(), "refused-unauthorized")["sentence"]
    secret = healthy.admin.create("f7")["secret"]
    healthy.admin.create("f")
    time.sleep(0.002)  # times are in ms
    healthy.report(node="hk1")
    assert "refused-unauthorized" in healthy.findings(), "it is not hk1's"
    healthy.report(node="f7", secret=secret)
    assert set(healthy.findings()) == {"node-never"}, "of f"


def test_more_refusals_than_are_kept_are_said_to_be_at_least_so_many(healthy):
    for _ in range(2):
        healthy.report(secret="wrong", expect=401)
    assert "was refused 2 times" in healthy.findings()["refused-unauthorized"]["sentence"]
    for _ in range(25):
        healthy.report(secret="wrong", expect=401)
    assert "was refused at least 20 times" in healthy.findings()[
        "refused-unauthorized"]["sentence"]


def test_many_unused_nodes_are_one_finding_and_the_table_gives_way_with_a_line(healthy):
    for i in range(3):
        healthy.admin.create(f"new{i}")
    assert healthy.run().stdout.count("has never reported") == 3
    for i in range(3, 24):
        healthy.admin.create(f"new{i}")
    found = the_only(healthy.findings(), "node-never", "warning")
    assert found["sentence"].startswith("24 nodes have never reported: new0, ")
    assert found["sentence"].endswith(" and 14 more")
    assert healthy.run().stdout.endswith("25 nodes: `tallyctl node list` shows who reports.\n")


# Memory.

def test_memory_that_is_used_up_is_a_problem_with_the_line_that_gives_more(office):
    place = office(max_memory="16MiB").open()

    def is_full():
        for _ in range(4):
            place.report(*[stats(f"{next(names):0200}", 1, 1) for _ in range(2000)])
        return place.admin.status()["reports"]["rejectedEvents"]
    names = itertools.count()
    wait_for(is_full, "events are rejected")
    found = place.findings()
    full = found["memory-full"]
    assert full["level"] == "problem" and "used up" in full["sentence"]
    assert full["change"][0].startswith("max_memory = ")
    assert full["change"][1] == "systemctl restart tallyd"
    assert not any("four fifths of max_memory" in one["sentence"] for one in found.values())
    shown = tallyctl("node", "show", "hk1", "--socket", place.socket).stdout
    assert "problem: node hk1 has used up what it may take of max_memory" in shown


def test_max_users_that_is_reached_is_a_problem_said_once_with_the_line_that_gives_more(office):
    place = office(max_users=2).open()
    place.report(stats("bob", 1, 1))
    secret = place.admin.create("jp1")["secret"]
    place.report(stats("carol", 1, 1), node="jp1", secret=secret)
    full = the_only({code: one for code, one in place.findings().items()
                     if code != "rejected-events"}, "users-full")
    assert full["sentence"].startswith("max_users is reached: events of new names are rejected")
    assert full["change"] == ["max_users = 4   # in tallyd.conf", "systemctl restart tallyd"]
    shown = tallyctl("node", "show", "jp1", "--socket", place.socket).stdout
    assert f"problem: {full['sentence']}\n" in shown


def test_lines_name_the_data_dir_of_this_configuration(office):
    place = office().open()
    place.report({"kind": "nonsense"}, stats("alice", -1, 1))
    line = place.findings()["rejected-events"]["change"][0]
    assert line.startswith(f"sqlite3 {place.daemon.data_dir}/tally.db ")
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""


# What looks wrong in what arrives.

def test_service_only_and_no_client_are_found_with_the_daemons_own_words(healthy):
    def send(kind, client=None):
        for i in range(1, 16):
            healthy.report(stats(client, i, 1, kind=kind, service=f"{kind}-1"))
        return healthy.findings()
    found = send("service")["service-only"]
    told = [one for one in healthy.admin.status()["suspicions"] if one["code"] == "service-only"]
    assert (found["sentence"], found["change"]) == (told[0]["sentence"], told[0]["change"])
    assert any(line.startswith("observer: ") for line in found["change"])
    assert any(line.startswith("auther: ") for line in send("handler")["no-client"]["change"])


def test_a_suspicion_is_a_problem_where_numbers_are_wrong(healthy):
    for i in range(1, 30):
        healthy.report(stats("alice", 1000 * i, 1000 * i))
    found = the_only(healthy.findings(), "looks-cumulative")
    assert found["change"] == healthy.admin.node("hk1")["suspicions"][0]["change"]
    shown = tallyctl("node", "show", "hk1", "--socket", healthy.socket).stdout
    assert f"problem: {found['sentence']}\n    {found['change'][0]}\n" in shown
    for text in (shown, healthy.run().stdout):  # it stays a while when mended
        assert "for up to 40 reports with traffic after it was mended" in text


def test_a_flush_that_fails_is_found(healthy):
    healthy.daemon.stop()
    healthy.write_config(busy_timeout="0", sync_interval="200ms")
    healthy.daemon.start()
    holder = subprocess.Popen(
        ["sqlite3", str(healthy.daemon.database)], stdin=subprocess.PIPE, text=True)
    holder.stdin.write("begin immediate;\n")
    holder.stdin.flush()

    def is_failing():
        healthy.report()
        return healthy.admin.status()["lastSync"]["error"]
    wait_for(is_failing, "a flush has failed")
    found = the_only(healthy.findings(), "sync-failed")
    holder.communicate("rollback;\n")
    assert "another program holds the database" in found["sentence"]
    assert any(line.startswith("fuser -v ") for line in found["change"])


# One node.

def test_node_show_has_the_same_for_one_node(healthy):
    healthy.report(secret="wrong", expect=401)
    healthy.admin.create("jp1")
    done = tallyctl("node", "show", "hk1", "--socket", healthy.socket)
    assert (done.returncode, done.stderr) == (0, "")
    table, findings = done.stdout.split("\n\n", 1)
    rows = dict(line.split("  ", 1) for line in table.splitlines())
    assert rows["reports from"].strip() == "127.0.0.1" and rows["reports as"].strip() == "delta"
    assert rows["seen of it"].strip() == "users"
    assert findings.startswith("problem: node hk1 at 127.0.0.1 was refused")
    assert "    tallyctl node secret hk1 --secret-stdin" in findings
    other = tallyctl("node", "show", "jp1", "--socket", healthy.socket).stdout
    assert "refused" not in other and "node jp1 has never reported" in other
    whole = json.loads(tallyctl("node", "show", "hk1", "--json", "--socket", healthy.socket).stdout)
    assert whole == healthy.admin.node("hk1")


# A daemon that tells less, or that means harm.

def test_what_an_older_daemon_does_not_tell_is_passed_over(tmp_path):
    server = FakeTallyd(tmp_path / "s")
    server.api.nodes["hk1"] = {"name": "hk1", "hasSecret": True, "lastReportAt": now_ms()}
    server.api.status_data.update(warnings=[], redis={"state": "up"}, reports={})
    env = {"TALLYD_REDIS_URL": "none", "TALLYD_DATA_DIR": str(tmp_path / "data")}
    found = json.loads(tallyctl("doctor", "--json", "--socket", tmp_path / "s",
                                env=env).stdout)["findings"]
    shown = tallyctl("node", "show", "hk1", "--socket", tmp_path / "s")
    server.api.status_data = {}
    nothing = tallyctl("doctor", "--json", "--socket", tmp_path / "s")
    server.close()
    assert all(one["level"] == "ok" for one in found), found
    assert shown.returncode == 0 and "reports from" not in shown.stdout
    assert "no-right" in nothing.stdout


def test_an_answer_that_is_no_status_is_a_finding(tmp_path):
    server = FakeTallyd(tmp_path / "s")
    server.script.append((200, "application/json", b'{"x":1}'))
    found = not_ok(tallyctl("doctor", "--json", "--socket", tmp_path / "s",
                            env={"TALLYD_REDIS_URL": "none"}))
    server.close()
    assert "not tallyd" in found["daemon-down"]["sentence"]


def test_nothing_of_a_finding_moves_the_cursor(tmp_path):
    evil = "\x1b[2J\u202e"
    server = FakeTallyd(tmp_path / "s")
    server.api.nodes[evil] = {"name": evil, "peers": [evil], "mode": evil, "lastReportAt": now_ms()}
    server.api.status_data.update(
        warnings=[evil], suspicions=[{"code": evil, "sentence": evil, "change": [evil, 5, None]}],
        refusals={"last": [{"code": evil, "peer": evil, "path": evil, "method": "POST",
                            "reason": evil, "at": now_ms(), "node": "it's"}]},
        redis={"state": "down", "error": evil}, version=evil)
    done = tallyctl("doctor", "--all", "--socket", tmp_path / "s",
                    env={"TALLYD_REDIS_URL": "none"})
    server.close()
    assert "\x1b" not in done.stdout + done.stderr and "\u202e" not in done.stdout
    assert done.stdout.count("\\x1b[2J\\u202e") >= 8
