"""Each sample of GOST's configuration that is printed anywhere is whole: who copies it is
counted. Those of tallyd-setup and quickstart are looked at in their own tests."""
import json
import pathlib
import re

import pytest

from client import Client
from gost_sample import check_plugin, check_sample, find_samples, service_without_users

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# A line of GOST's configuration, also as a line of C; and where it may stand: each has its test.
SAMPLE = re.compile(r'^\W*observers:(\\n")?$', re.MULTILINE)
PLACES = {"README.md", "config/gost.yml", "scripts/quickstart", "scripts/tallyd-setup",
          "src/command/node.c"}


def test_there_are_no_other_samples():
    found = {str(path.relative_to(ROOT)) for place in ("config", "scripts", "src", "include")
             for path in (ROOT / place).rglob("*")
             if path.is_file() and SAMPLE.search(path.read_text(errors="replace"))}
    assert found | {"README.md"} == PLACES


def test_every_sample_of_the_readme_has_the_observer_in_both_places():
    samples = find_samples(README)
    assert len(samples) == len(re.findall(r"^ *observers:", README, re.MULTILINE)) >= 2
    for sample in samples:
        check_sample(sample)


def test_a_plugin_that_the_readme_gives_to_gosts_api_is_whole():
    (text,) = re.findall(r'^ +(\{"name":"tally","plugin".*\n.*\}\})$', README, re.MULTILINE)
    check_plugin(json.loads(text)["plugin"])


def test_the_readme_shows_how_a_service_without_users_is_counted():
    """Run by a real GOST in test_real_gost.py."""
    service = service_without_users(README)
    assert service["handler"] == {"type": "forward"}
    assert service["observer"] == "tally"
    assert service["metadata"] == {"enableStats": True, "observer.period": "5s",
                                   "observer.resetTraffic": True}


def test_the_example_of_a_configuration_is_whole():
    (sample,) = find_samples((ROOT / "config" / "gost.yml").read_text())
    (service,) = check_sample(sample)["services"]
    assert service["handler"]["auther"] == "users"


@pytest.fixture
def nodes(tallyd, tmp_path):
    """nodes(counters, otherwise): the lines for the GOST of a new node, and its secret.
    otherwise: what the configuration says of all nodes."""
    made = []

    def create(counters, otherwise="delta"):
        path = tmp_path / f"admin{len(made)}.sock"
        daemon = tallyd(admin_socket=path, counters=otherwise).start()
        made.append(Client(path))
        answer = made[-1].request("POST", "/nodes", json.dumps(
            {"name": "hk2"} | ({"counters": counters} if counters else {})))
        assert answer.status == 201, answer
        return (answer.json()["gost"].replace(str(daemon.port), "3000"),
                answer.json()["secret"])

    yield create
    for client in made:
        client.close()


@pytest.mark.parametrize("counters, otherwise", [
    (None, "delta"), ("delta", "cumulative"), ("cumulative", "delta"), (None, "cumulative")])
def test_a_new_node_is_shown_both_places_and_the_counters_it_is_counted_by(
        counters, otherwise, nodes):
    text, secret = nodes(counters, otherwise)
    found = check_sample(text, is_delta=(counters or otherwise) == "delta")
    assert secret in found["observers"][0]["plugin"]["addr"]


def test_the_readme_shows_what_a_new_node_is_shown(nodes):
    text, secret = nodes("delta")
    shown = [re.sub(r"hk2:\w+@", "hk2:SECRET@", sample) for sample in find_samples(README)]
    assert text.strip().replace(secret, "SECRET") in (sample.strip() for sample in shown)
