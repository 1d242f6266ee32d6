"""Load over many known users, none of whose reports may be refused."""
import random
import threading
import time

from tallyd import report, stats


class Crowd:
    """`n_users` users, who report in the background between start() and stop()."""

    def __init__(self, daemon, n_users, events=20, n_threads=2):
        self.daemon = daemon
        self.names = [str(i) for i in range(n_users)]
        self.events = events
        self.sums = [[0] * n_users for _ in range(n_threads)]
        self.n_reports = 0
        self.slowest = 0.0
        self.stopping = threading.Event()
        self.failures = []
        self.threads = []

    def fill(self):
        """Every user reports once."""
        client = self.daemon.client()
        for start in range(0, len(self.names), 100):
            self.post(client, self.sums[0], range(start, min(start + 100, len(self.names))), 1)
        client.close()
        return self

    def post(self, client, sums, users, size):
        body = report(*(stats(self.names[i], size, 2 * size) for i in users))
        began = time.monotonic()
        answer = client.post("/observer", body)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.n_reports += 1
        assert (answer.status, answer.body) == (200, b'{"ok":true}'), answer
        for i in users:
            sums[i] += size

    def run(self, number):
        rng = random.Random(number)
        client = self.daemon.client()
        try:
            while not self.stopping.is_set():
                users = rng.sample(range(len(self.names)), self.events)
                self.post(client, self.sums[number], users, rng.randrange(1, 1000))
        except Exception as failure:  # shown by stop()
            self.failures.append(failure)
        finally:
            client.close()

    def start(self):
        self.stopping.clear()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True)
                        for i in range(len(self.sums))]
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a report still waits for its answer"
        assert not self.failures, self.failures

    def expected(self):
        """{user: (used, input, output)} of all that was answered ok."""
        return {name: (3 * size, size, 2 * size)
                for name, size in zip(self.names, map(sum, zip(*self.sums)))}
