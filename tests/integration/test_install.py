"""What make install puts where, and what systemd makes of it."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from deadline import BIN, seconds

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPOSURE = 1.1


def run(*command, **options):
    return subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=seconds(60), check=False, **options)


def make(target, **variables):
    """Without building anything: what is tested is there."""
    program = pathlib.Path(BIN).resolve()
    variant = program.parent.name if program.parent.parent.name == "build" else "release"
    built = program.relative_to(ROOT)
    result = run("make", "-s", "-C", ROOT, "-o", built, "-o", built.with_name("tallyctl"), target,
                 f"VARIANT={variant}", *(f"{name}={value}" for name, value in variables.items()))
    assert result.returncode == 0, result.stdout


def files(directory):
    return {str(path.relative_to(directory)): path.stat().st_mode & 0o777
            for path in directory.rglob("*") if not path.is_dir()}


@pytest.fixture
def installed(tmp_path):
    """As if into /, with a PREFIX that is there: systemd-analyze looks for the programs."""
    if not pathlib.Path(BIN).resolve().is_relative_to(ROOT / "build"):
        pytest.skip("the program under test is not of this checkout")
    make("install", DESTDIR="/", PREFIX=tmp_path)
    return tmp_path


def test_everything_is_installed_where_it_is_looked_for_and_nothing_stays(installed):
    found = files(installed)
    for name in "bin/tallyd", "bin/tallyctl", "sbin/tallyd-setup":
        assert found[name] == 0o755
    for name in ("lib/systemd/system/tallyd.service", "lib/sysusers.d/tallyd.conf",
                 "share/doc/tallyd/README.md", "share/tallyd/tallyd.conf",
                 "share/tallyd/gost.yml"):
        assert name in found
    unit = (installed / "lib/systemd/system/tallyd.service").read_text()
    assert "/usr/local" not in unit
    for name in re.findall(rf"{re.escape(str(installed))}/(\S+)", unit):
        assert name in found
    make("uninstall", DESTDIR="/", PREFIX=installed)
    assert files(installed) == {}


def test_destdir_is_not_in_what_is_installed(tmp_path):
    make("install", DESTDIR=tmp_path, PREFIX="/usr")
    unit = (tmp_path / "usr/lib/systemd/system/tallyd.service").read_text()
    assert "ExecStart=/usr/bin/tallyd\n" in unit
    assert "ExecStartPre=+/usr/sbin/tallyd-setup --at-start\n" in unit
    assert "ExecStartPost=+-/usr/sbin/tallyd-setup --started\n" in unit
    assert str(tmp_path) not in unit


def test_the_setup_runs_from_where_it_is_installed(installed):
    result = run(installed / "sbin/tallyd-setup", "--help")
    assert result.returncode == 0
    assert "tallyd-admin" in result.stdout


def test_unit_sysusers_and_setup_name_the_same_groups():
    unit = (ROOT / "config/tallyd.service").read_text()
    sysusers = (ROOT / "config/tallyd.sysusers").read_text()
    setup = (ROOT / "scripts/tallyd-setup").read_text()
    named = set(re.findall(r"^[gu] (\S+)", sysusers, re.MULTILINE))
    assert set(re.findall(r"^(?:User|Group)=(.*)$", unit, re.MULTILINE)) < named
    assert set(re.search(r"for name in (tallyd .*); do", setup)[1].split()) == named
    members = re.findall(r"^m (\S+) (\S+)", sysusers, re.MULTILINE)
    assert set(members) == {("tallyd", name) for name in named}, "nobody else is, by default"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("systemd-sysusers"),
                    reason="this needs root, and systemd-sysusers")
def test_systemd_makes_user_and_groups_of_it(tmp_path):
    etc = tmp_path / "etc"
    etc.mkdir()
    result = run("systemd-sysusers", f"--root={tmp_path}", ROOT / "config/tallyd.sysusers")
    assert result.returncode == 0, result.stdout
    groups = [line.split(":") for line in (etc / "group").read_text().splitlines()]
    members = {group[0]: group[3] for group in groups}
    assert [members[name] for name in ("tallyd", "tallyd-admin", "tallyd-read")] == ["tallyd"] * 3
    assert ":/var/lib/tallyd:" in (etc / "passwd").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(installed):
    unit = installed / "lib/systemd/system/tallyd.service"
    result = run("systemd-analyze", "verify", "--man=no", unit)
    said = [line for line in result.stdout.splitlines() if "tallyd" in line]
    assert (result.returncode, said) == (0, []), result.stdout
    rating = run("systemd-analyze", "security", "--offline=true", unit).stdout
    exposure = float(re.search(r"exposure level for tallyd.service: ([0-9.]+)", rating)[1])
    assert exposure <= EXPOSURE, rating


def test_the_peers_uid_is_seen_by_the_unit():
    unit = (ROOT / "config/tallyd.service").read_text()
    assert not re.search(r"^PrivateUsers=", unit, re.MULTILINE)
    assert "RuntimeDirectoryMode=0755\n" in unit
