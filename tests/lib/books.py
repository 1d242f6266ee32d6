"""What tallyd must have counted, kept by those who report to it."""
import collections
import threading

N_RECENT = 20000  # many seconds of a busy campaign


class Batch:
    """What one report carries: collected once, then sent byte for byte until it is answered ok.

    amounts: [(client or None, input bytes, output bytes)] that it adds to what was answered
    before it. values: the same as they stand in the body; they differ if counters are cumulative.
    attempts: [(when, seconds, how it ended)].
    """

    def __init__(self, stream, body, values, amounts):
        self.stream = stream
        self.body = body
        self.values = values
        self.amounts = amounts
        self.attempts = []

    def may_be_counted(self):
        """Before it is answered ok."""
        return any(outcome == "unanswered" for _, _, outcome in self.attempts)

    def key(self):
        """What tells it from every other batch, and can be seen in a dumped journal."""
        return (*self.stream.name, tuple(sorted((c or "", i, o) for c, i, o in self.amounts)))


class Books:
    """Bytes per user and per (node, kind, service).

    A batch is counted once it was answered ok; `recent` are the last of these. `doubtful` are
    those of which nobody will ever know: their GOST has gone before an answer, and tallyd may
    have counted them or not.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.totals = {"user": collections.defaultdict(lambda: [0, 0]),
                       "service": collections.defaultdict(lambda: [0, 0])}
        self.doubtful = []
        self.recent = collections.deque(maxlen=N_RECENT)
        self.n_answered = 0
        self.lost = [0, 0]  # batches and bytes that were answered and then taken away

    def count(self, batch):
        with self.lock:
            self.n_answered += 1
            self.recent.append(batch)
            self.add(self.totals, batch, 1)

    def lose(self, batch):
        """It was answered ok, and what tallyd had kept of it is gone."""
        with self.lock:
            self.recent.remove(batch)
            self.add(self.totals, batch, -1)
            self.lost[0] += 1
            self.lost[1] += sum(i + o for _, i, o in batch.amounts)

    def doubt(self, batch):
        with self.lock:
            self.doubtful.append(batch)

    @staticmethod
    def add(totals, batch, sign):
        service = totals["service"][batch.stream.name]
        for client, input_bytes, output_bytes in batch.amounts:
            found = [service]
            if client and batch.stream.name[1] == "handler":
                found.append(totals["user"][client])
            for total in found:
                total[0] += sign * input_bytes
                total[1] += sign * output_bytes

    def differences(self, what, found):
        """Judges {name: (input, output)} of every `what`, "user" or "service".

        A list of (name, (input, output) expected, found, how much more may be right).
        """
        with self.lock:
            slack = {what: collections.defaultdict(lambda: [0, 0]) for what in self.totals}
            for batch in self.doubtful:
                self.add(slack, batch, 1)
            expected = {name: tuple(total) for name, total in self.totals[what].items()}
        wrong = []
        for name in sorted(expected.keys() | found.keys()):
            low, more = expected.get(name, (0, 0)), slack[what].get(name, (0, 0))
            has = found.get(name, (0, 0))
            if not all(low[k] <= has[k] <= low[k] + more[k] for k in (0, 1)):
                wrong.append((name, low, has, tuple(more)))
        return wrong
