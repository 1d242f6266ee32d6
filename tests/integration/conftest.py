"""Fixtures: daemons and redis-servers in directories of their own, ended with every test."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.dont_write_bytecode = True

import preload  # noqa: E402
from disk import SmallDisk  # noqa: E402
from redis_server import RedisServer  # noqa: E402
from seed import SEED  # noqa: E402
from tallyd import Daemon  # noqa: E402

failed_key = pytest.StashKey()


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"CRASH_SEED={SEED} makes the same random choices")


def pytest_collection_modifyitems(items):
    """The long ones first, so that those run in parallel do not end with one of them alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.stash[failed_key] = outcome.get_result().failed


@pytest.fixture
def tallyd(request, tmp_path):
    """tallyd(**options) makes a Daemon; afterwards each must stop with 0 and a clean log."""
    daemons = []

    def make(**options):
        name = f"tallyd{len(daemons) or ''}"
        daemons.append(Daemon(options.pop("directory", tmp_path / name), **options))
        return daemons[-1]

    yield make
    has_failed = request.node.stash.get(failed_key, True)
    try:
        if not has_failed:
            for daemon in daemons:
                daemon.finish()
    finally:
        for daemon in daemons:
            if daemon.process is not None:
                daemon.kill()
            if has_failed:
                print(f"--- log of {daemon.directory}\n{daemon.all_logs()[-4000:]}")


@pytest.fixture
def redis(make_redis):
    return make_redis().start()


@pytest.fixture
def make_redis(tmp_path):
    """make_redis(*options) makes a RedisServer that is not started yet."""
    servers = []

    def make(*options):
        directory = tmp_path / f"redis{len(servers)}"
        directory.mkdir()
        servers.append(RedisServer(directory, *options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(bytes) makes a file system of that size."""
    disks = []

    def make(size_bytes):
        try:
            disks.append(SmallDisk(tmp_path / f"disk{len(disks)}", size_bytes))
        except OSError as reason:
            pytest.skip(str(reason))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


def build_preload(name, directory):
    """A library of tests/preload, for LD_PRELOAD."""
    if not preload.is_possible():
        pytest.skip("their own library has to be the first that is loaded")
    return preload.build(name, directory)


@pytest.fixture(scope="session")
def kill_point(tmp_path_factory):
    return build_preload("kill_point", tmp_path_factory.mktemp("preload"))


@pytest.fixture
def two_addresses(tmp_path):
    return build_preload("two_addresses", tmp_path)
