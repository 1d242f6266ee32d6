"""tallyd-setup: what it makes, what it leaves alone, and whom it lets in. Under a private /etc."""
import os
import pathlib
import pty
import re
import shutil
import socket
import subprocess

import pytest

from argv_log import ArgvLog
from deadline import BIN, IS_ASAN, VALGRIND, seconds, wait_for
from gost_sample import check_sample, find_samples
from ports import free_port
from private_etc import PrivateEtc
from tallyd import environment

SETUP = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "tallyd-setup"
GROUPS = ("tallyd-admin", "tallyd-read")
FILES = {"api-token": "tallyd-admin", "read-token": "tallyd-read", "first-node": "tallyd"}
HEX = "[0-9a-f]{32}"
COMMANDS = ("cat", "chmod", "chown", "cp", "curl", "getent", "groupadd", "head", "install", "ln",
            "mktemp", "mv", "od", "rm", "sed", "sync", "tr", "useradd", "usermod")


class Setup:
    """tallyd-setup in an /etc of its own, with a data directory of its own."""

    def __init__(self):
        self.etc = PrivateEtc()
        self.data_dir = self.etc.directory / "data"
        self.config_dir = pathlib.Path("/etc/tallyd")
        self.etc.must("mkdir", self.data_dir)

    def run(self, *arguments, data_dir=True, **options):
        given = [f"--data-dir={self.data_dir}"] if data_dir else []
        return self.etc.run(SETUP, *given, *arguments, **options)

    def count(self, name="tally.db"):
        self.etc.must("install", "-D", "/dev/null", self.data_dir / name)

    def files(self):
        """{name: (text, mode, user, group)} of the configuration directory."""
        if self.etc.run("test", "-d", self.config_dir).returncode != 0:
            return {}
        listing = self.etc.must("find", self.config_dir, "-mindepth", "1", "-printf",
                                r"%f %m %u %g\n")
        return {line.split()[0]: (self.text(line.split()[0]), *line.split()[1:])
                for line in listing.splitlines()}

    def text(self, name):
        return self.etc.outside(self.config_dir / name).read_text()

    def secrets(self):
        return re.findall(HEX, "".join(found[0] for found in self.files().values()))


@pytest.fixture
def setup():
    try:
        made = Setup()
    except OSError as reason:
        pytest.skip(str(reason))
    yield made
    made.etc.close()


def test_an_empty_directory_gets_groups_tokens_and_a_first_node(setup):
    result = setup.run("--name", "hk1")
    assert result.returncode == 0, result.stdout
    assert {name: found[1:] for name, found in setup.files().items()} == {
        name: ("640", "root", group) for name, group in FILES.items()}
    assert re.fullmatch(f"{HEX}\n", setup.text("api-token"))
    assert re.fullmatch(f"{HEX}\n", setup.text("read-token"))
    assert re.fullmatch(f"name = hk1\nsecret = {HEX}\n", setup.text("first-node"))
    assert len(set(setup.secrets())) == 3
    for name in GROUPS:
        assert setup.etc.group(name)[1] == "tallyd"
    assert setup.etc.must("id", "-nG", "tallyd").split() == ["tallyd", *GROUPS]
    assert setup.etc.must("stat", "-c", "%a", setup.config_dir) == "755\n"


def test_a_second_run_changes_nothing(setup):
    setup.run()
    before = setup.files()
    result = setup.run("--name", "another", "--tokens")
    assert result.returncode == 0, result.stdout
    assert setup.files() == before
    assert " made " not in result.stdout


def test_a_start_says_what_was_made_and_no_secret(setup):
    result = setup.run("--at-start")
    assert result.stdout.count("tallyd-setup: made /etc/tallyd/") == 3
    secrets = setup.secrets()
    assert len(secrets) == 3
    assert not any(secret in result.stdout for secret in secrets)
    assert setup.run("--at-start").stdout == ""


def test_no_secret_goes_where_it_can_be_read(setup, tmp_path):
    """Neither into a pipe or file instead of a terminal, nor into a process's arguments."""
    log = ArgvLog(tmp_path / "commands", COMMANDS)
    said = "".join(setup.run(env={"PATH": log.path}).stdout for _ in range(2))
    assert "mktemp" in log.text()
    secrets = setup.secrets()
    assert len(secrets) == 3
    assert not any(secret in said + log.text() for secret in secrets)


def test_a_terminal_is_shown_the_lines_for_gost(setup):
    ours, theirs = pty.openpty()
    command = [*setup.etc.wrapper, SETUP, f"--data-dir={setup.data_dir}", "--name=hk1"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # so ends a terminal
        pass
    os.close(ours)
    assert process.wait(seconds(30)) == 0, said
    secret = setup.text("first-node").split()[-1]
    assert f"addr: http://hk1:{secret}@127.0.0.1:3000/observer" in said.decode()
    (sample,) = find_samples(said.decode())
    check_sample(sample)


@pytest.mark.parametrize("counted", ["tally.db", "journal/0000000001.seg"])
def test_a_directory_that_has_counted_stays_open(setup, counted):
    setup.count(counted)
    result = setup.run()
    assert result.returncode == 0, result.stdout
    assert "stays open" in result.stdout
    assert "tallyctl node close" in result.stdout
    start = setup.run("--at-start")
    assert start.returncode == 0, start.stdout
    assert len(start.stdout.splitlines()) == 1
    assert setup.files() == {}


def test_tokens_are_made_for_one_that_has_counted_if_asked_for(setup):
    setup.count()
    result = setup.run("--tokens")
    assert result.returncode == 0, result.stdout
    assert set(setup.files()) == {"api-token", "read-token"}
    assert "systemctl reload tallyd" in result.stdout
    assert setup.run("--at-start").stdout == ""


def test_the_data_directory_is_the_one_of_the_configuration(setup):
    """An installed tallyd that counts elsewhere is not cut off."""
    installed = setup.etc.directory / "usr"
    setup.etc.must("install", "-D", SETUP, installed / "sbin" / "tallyd-setup")
    setup.etc.must("install", "-d", installed / "bin", setup.config_dir)
    setup.etc.must("ln", "-s", BIN, installed / "bin" / "tallyd")
    setup.etc.outside(setup.config_dir / "tallyd.conf").write_text(
        f"data_dir = {setup.data_dir}\nlisten = unix:/run/x, [::]:3001\nallow_anonymous = yes\n"
        "counters = cumulative\n")
    setup.count()
    result = setup.etc.run(installed / "sbin" / "tallyd-setup", env=environment())
    assert result.returncode == 0, result.stdout
    assert f"{setup.data_dir} has counted before" in result.stdout
    setup.etc.must("rm", setup.data_dir / "tally.db")
    result = setup.etc.run(installed / "sbin" / "tallyd-setup", env=environment())
    assert "@127.0.0.1:3001/observer" in result.stdout
    (sample,) = find_samples(result.stdout)
    check_sample(sample, is_delta=False)
    assert {*FILES, "tallyd.conf"} == set(setup.files())


@pytest.mark.parametrize("mistake", ["data_dir =\n", "no such option = 1\n"])
def test_a_wrong_configuration_is_left_to_tallyd_to_refuse(setup, mistake):
    setup.etc.must("install", "-d", setup.config_dir)
    setup.etc.outside(setup.config_dir / "tallyd.conf").write_text(mistake)
    path = f"{pathlib.Path(BIN).parent}:{os.environ['PATH']}"
    for arguments, code in ((), 1), (("--at-start",), 0):
        result = setup.run(*arguments, data_dir=False, env={**environment(), "PATH": path})
        assert result.returncode == code, result.stdout
        assert "nothing is set up" in result.stdout
    assert set(setup.files()) == {"tallyd.conf"}


def test_a_read_only_configuration_directory_is_no_reason_not_to_start(setup):
    setup.run("--tokens", data_dir=False)
    setup.etc.must("install", "-d", setup.config_dir)
    setup.etc.must("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", setup.config_dir)
    for arguments, code in ((), 1), (("--at-start",), 0):
        result = setup.run(*arguments)
        assert result.returncode == code, result.stdout
        assert "read-only" in result.stdout


def test_nothing_is_put_where_another_could_exchange_it(setup):
    setup.etc.must("install", "-d", "-o65534", setup.config_dir)
    for arguments, code in ((), 1), (("--at-start",), 0):
        result = setup.run(*arguments)
        assert result.returncode == code, result.stdout
        assert "not root's" in result.stdout
    assert setup.files() == {}


def test_a_group_that_cannot_be_made_is_no_reason_not_to_start(setup, tmp_path):
    log = ArgvLog(tmp_path / "commands", ())
    log.put("groupadd", "#!/bin/sh\nexit 10\n")
    for arguments, code in ((), 1), (("--at-start",), 0):
        result = setup.run(*arguments, env={"PATH": log.path})
        assert result.returncode == code, result.stdout
        assert "cannot make the group tallyd" in result.stdout
    assert setup.files() == {}


@pytest.mark.parametrize("failing", ["chown", "chmod", "sync", "ln", "od"])
def test_what_fails_half_way_is_made_whole_by_the_next_run(setup, tmp_path, failing):
    log = ArgvLog(tmp_path / "commands", ())
    log.put(failing, "#!/bin/sh\nexit 1\n")
    assert setup.run("--at-start", env={"PATH": log.path}).returncode == 1
    assert setup.files() == {}
    assert setup.run("--at-start").returncode == 0
    assert set(setup.files()) == set(FILES)


@pytest.mark.parametrize("host, node", [("hk1", "hk1"), ("hk1.example.org", "hk1"),
                                        ("localhost", "node1"), ("käse", "node1"),
                                        ("-n", "node1"), ("", "node1")])
def test_the_first_node_is_named_after_the_machine_if_that_is_a_plain_name(setup, tmp_path,
                                                                         host, node):
    log = ArgvLog(tmp_path / "commands", ())
    log.put("hostname", f"#!/bin/sh\nprintf '%s\\n' '{host}'\n")
    setup.run(env={"PATH": log.path})
    assert setup.text("first-node").startswith(f"name = {node}\n")


@pytest.mark.parametrize("arguments", [["--name=a b"], ["--name", "../x"], ["--name"], ["--nmae"],
                                       ["--data-dir="], ["x"]])
def test_wrong_arguments_are_refused(arguments):
    result = subprocess.run([SETUP, *arguments], stdin=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 64
    assert "--help" in result.stderr


def test_help_is_for_everybody():
    wrapper = ["setpriv", "--reuid=65534"] if os.geteuid() == 0 and shutil.which("setpriv") else []
    result = subprocess.run([*wrapper, "bash", "-s", "--", "--help"], stdin=open(SETUP),
                            stdout=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 0
    assert "--at-start" in result.stdout


def test_sockets_are_given_to_their_groups_by_who_could_give_nothing_else(setup):
    """tallyd owns their directory, and may put a link to something else there."""
    setup.run()
    runtime = setup.etc.directory / "run"
    setup.etc.must("install", "-d", "-m755", "-otallyd", "-gtallyd-read", runtime)
    for name in "admin.sock", "read.sock":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(setup.etc.outside(runtime / name)))
        setup.etc.must("chown", "tallyd:tallyd-read", runtime / name)
    env = {**environment(), "RUNTIME_DIRECTORY": str(runtime)}
    assert setup.run("--started", env=env).returncode == 0
    for name, group in ("admin.sock", "tallyd-admin"), ("read.sock", "tallyd-read"):
        assert setup.etc.must("stat", "-c", "%a %U %G", runtime / name) == f"660 tallyd {group}\n"

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(setup.etc.outside(setup.etc.directory / "roots.sock")))
    setup.etc.must("chmod", "600", setup.etc.directory / "roots.sock")
    setup.etc.must("ln", "-sf", setup.etc.directory / "roots.sock", runtime / "admin.sock")
    assert setup.run("--started", env=env).returncode != 0
    assert setup.etc.must("stat", "-c", "%a %U %G", setup.etc.directory / "roots.sock") == (
        "600 root root\n")


READ = """
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print(db.execute("select sum(used_traffic) from users").fetchone()[0])
"""


@pytest.mark.skipif(IS_ASAN or bool(VALGRIND), reason="it runs in a place of its own")
def test_the_group_tallyd_read_may_read_the_database_and_nobody_else(setup):
    """The daemon runs as its unit says: group, umask and mode of the data directory."""
    setup.run()
    setup.etc.must("install", "-d", "-m2750", "-otallyd", "-gtallyd-read", setup.data_dir)
    setup.etc.must("cp", BIN, setup.etc.directory / "tallyd")
    port = free_port()
    daemon = subprocess.Popen(
        [*setup.etc.wrapper, "runuser", "-u", "tallyd", "-g", "tallyd-read", "--", "sh", "-c",
         'umask 0027; exec "$@"', "sh", str(setup.etc.directory / "tallyd"),
         "--config=/dev/null", f"--data-dir={setup.data_dir}", "--redis-url=none",
         f"--listen=127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    try:
        file = setup.data_dir / "tally.db"
        read = ("/usr/bin/python3", "-c", READ, file)
        member, stranger = setup.etc.as_member("tallyd-read"), setup.etc.as_member()
        wait_for(lambda: setup.etc.run(*member, *read).returncode == 0, "a member reads")
        assert setup.etc.run(*stranger, *read).returncode != 0
        assert setup.etc.run(*member, "test", "-w", file).returncode != 0
        assert setup.etc.run(*member, "cat", "/etc/tallyd/read-token").returncode == 0
        for name, reader in ("api-token", member), ("first-node", member), ("read-token", stranger):
            assert setup.etc.run(*reader, "cat", f"/etc/tallyd/{name}").returncode != 0
    finally:
        daemon.terminate()
        daemon.communicate()
