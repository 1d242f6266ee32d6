"""What reports cost: many at a time, and one after the other, which is how one GOST sends."""
from candidates import CEILINGS, CONSTANT
from tables import Table

RATE, CPU = "reports/s", "CPU µs per report"


def compare(candidates, rows):
    """Adds to tallyd's rows what it is of a constant answer, of the peers, and of BASE."""
    for one in candidates:
        for other in candidates:
            row, of = rows[one.name], rows[other.name]
            if one.kind not in ("tallyd", "BASE"):
                continue
            if other is CONSTANT or other.kind == "peer":
                row[f"reports/s, times {other.name}"] = row[RATE].over(of[RATE])
            if other.kind == "BASE" and one.kind == "tallyd" and one.has_redis == other.has_redis:
                row |= {f"{figure}, times BASE": row[figure].over(of[figure])
                        for figure in (RATE, CPU, f"{CPU}, Redis") if figure in of}


def table(bench, name, events, connections, ceilings):
    candidates = [*bench.tallyds, *ceilings, *bench.peers]
    title = f"{events} event{'s' if events > 1 else ''} a report, " + (
        f"{connections} connections" if connections > 1 else "one connection")
    rows = bench.alternate(title, candidates, lambda candidate: candidate.measure(
        seconds=bench.seconds, events=events, connections=connections))
    compare(candidates, rows)
    return Table(name, title, rows)


def many(bench):
    return [table(bench, f"events-{events}", events, 16, CEILINGS) for events in (1, 100)]


def one_by_one(bench):
    return [table(bench, f"one-{events}", events, 1, [CONSTANT]) for events in (1, 100)]
