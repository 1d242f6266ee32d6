"""Clients that know what they were told: the oracle of every test under load."""
import collections
import http.client
import itertools
import threading
import time

from client import Client
from tallyd import report, stats

CUT_SECONDS = 1.5  # from then on the daemon may end a connection that it owes an answer


class Sender(threading.Thread):
    """Sends one report after another, each with bytes and a user of its own.

    A report is repeated until it is answered ok, as GOST does; with `repeats=False` the first
    that is not answered ok ends the thread. `acked` is what was answered ok; `doubtful` is what
    was sent and never answered, which may have been counted or not; `cut` are the users of those
    whose answer took so long that the connection was ended instead.
    """

    def __init__(self, address, number, repeats=True):
        super().__init__(daemon=True)
        self.client = Client(address)
        self.number = number
        self.repeats = repeats
        self.acked = collections.Counter()
        self.doubtful = collections.Counter()
        self.cut = set()
        self.n_answered = 0
        self.slowest = 0.0
        self.failure = None
        self.stopping = threading.Event()

    def run(self):
        try:
            for n in itertools.count():
                if self.stopping.is_set() or not self.send(n):
                    break
        except Exception as failure:  # shown by finish()
            self.failure = failure
        finally:
            self.client.close()

    def send(self, n):
        size = 8 * n + self.number + 1
        own, shared = f"s{self.number}-{n}", f"shared-{self.number}"
        body = report(stats(own, size, 2 * size), stats(shared, size, 2 * size))
        while True:
            began = time.monotonic()
            outcome = self.attempt(body)
            if outcome == "unanswered" and time.monotonic() - began >= CUT_SECONDS:
                self.cut |= {own, shared}
            if outcome == "ok":
                book = self.acked
                self.n_answered += 1
            elif outcome == "unanswered":
                book = self.doubtful
            else:
                book = collections.Counter()
            book[own] += size
            book[shared] += size
            if outcome == "ok" or not self.repeats:
                return outcome == "ok"

    def attempt(self, body):
        began = time.monotonic()
        try:
            answer = self.client.post("/observer", body)
        except ConnectionRefusedError:
            time.sleep(0.005)
            return "refused"
        except (OSError, http.client.HTTPException):
            return "unanswered"
        if answer.status == 200 and answer.body == b'{"ok":true}':
            self.slowest = max(self.slowest, time.monotonic() - began)
            return "ok"
        assert (answer.status, answer.body) == (503, b""), answer
        time.sleep(0.005)
        return "refused"


class Load:
    def __init__(self, address, n_senders, repeats=True):
        self.senders = [Sender(address, i, repeats) for i in range(n_senders)]

    def start(self):
        for sender in self.senders:
            sender.start()
        return self

    def n_answered(self):
        return sum(sender.n_answered for sender in self.senders)

    def slowest(self):
        return max(sender.slowest for sender in self.senders)

    def acked(self):
        """{user: input bytes that were answered ok}; grows while the load runs."""
        total = {}
        for sender in self.senders:
            total.update(sender.acked.copy())
        return total

    def cut(self):
        return set().union(*(sender.cut for sender in self.senders))

    def finish(self, limit=120):
        for sender in self.senders:
            sender.stopping.set()
        for sender in self.senders:
            sender.join(limit)
            assert not sender.is_alive(), "a sender still waits for its answer"
            assert sender.failure is None, repr(sender.failure)

    def check(self, counted):
        """Judges {user: (used, input, output)}; how many reports were counted twice."""
        acked, doubtful, twice = self.acked(), collections.Counter(), 0
        for sender in self.senders:
            doubtful.update(sender.doubtful)
        for user in acked.keys() | counted.keys():
            used, input_bytes, output_bytes = counted.get(user, (0, 0, 0))
            low = acked.get(user, 0)
            assert low <= input_bytes <= low + doubtful[user], (
                user, "acked", low, "doubtful", doubtful[user], "counted", input_bytes)
            assert output_bytes == 2 * input_bytes and used == 3 * input_bytes, (
                user, counted[user])
            twice += input_bytes > low and not user.startswith("shared-")
        return twice


def shared_sums(counted):
    """Each report goes to its own user and to its sender's shared one: the two must agree."""
    own, shared = collections.Counter(), collections.Counter()
    for user, (_, input_bytes, _) in counted.items():
        if user.startswith("shared-"):
            shared[user.removeprefix("shared-")] = input_bytes
        else:
            own[user[1:].split("-")[0]] += input_bytes
    return own, shared
