"""Bodies that are no valid report, each with the answer that README.md documents for it."""
import collections
import json
import random

# status None: both 400 and 200 with the event rejected are right; the reader of JSON decides.
Body = collections.namedtuple("Body", "name data status rejected good")

GOOD = ('{"kind":"handler","service":"service-0","client":"good","type":"stats","stats":'
        '{"totalConns":1,"currentConns":0,"inputBytes":100,"outputBytes":200,"totalErrs":0}}')
NOT_COUNTERS = ["-1", "-0.5", "0.5", "1e400", "-1e400", "9007199254740992", "1.5e300",
                "18446744073709551615", '"5"', "true", "[]", "{}"]
NOT_NAMES = [b'"' + b"x" * 256 + b'"', b'"\\u0001"', b'"a\\nb"', b'"\\u007f"', b'"\\u0085"',
             b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"', b'"\x80"', b'"\xc3"',
             b'"a\\u0000b"', b"5", b"[]", b"{}", b"true", b"false"]


def event(**changes):
    members = {"kind": '"handler"', "service": '"service-0"', "client": '"bad"',
               "type": '"stats"', "inputBytes": "1", "outputBytes": "1", "totalConns": "1",
               "totalErrs": "0"}
    members.update(changes)
    counters = ",".join(f'"{name}":{members.pop(name)}' for name in (
        "inputBytes", "outputBytes", "totalConns", "totalErrs"))
    members.setdefault("stats", "{%s}" % counters)
    return "{%s}" % ",".join(f'"{name}":{text}' for name, text in members.items()
                             if text is not None)


def events(*texts):
    return '{"events":[%s]}' % ",".join(texts)


def bad_event(name, text):
    """The same bad event alone, and between two good ones."""
    if isinstance(text, str):
        text = text.encode()
    head, tail = b'{"events":[', b"]}"
    good = GOOD.encode()
    return [Body(name, head + text + tail, 200, 1, 0),
            Body(name + " between good ones", head + b",".join((good, text, good)) + tail,
                 200, 1, 2)]


def broken(rng):
    """No JSON, or JSON without an array `events`."""
    whole = events(GOOD, GOOD).encode()
    for at in [0, 1, len(whole) - 1, *rng.sample(range(2, len(whole) - 1), 37)]:
        yield f"cut at {at}", whole[:at]
    for i in range(20):
        yield f"garbage {i}", rng.randbytes(rng.randrange(1, 300))
    for at in rng.sample([i for i in range(len(whole)) if is_outside_strings(whole, i)], 10):
        yield f"a NUL pushed in at {at}", whole[:at] + b"\0" + whole[at:]
    for text in ("[]", '"x"', "1", "null", "true", "{}", '{"events":null}', '{"events":{}}',
                 '{"events":"x"}', '{"events":1}', '{"Events":[]}', '{"event":[]}',
                 "{events:[]}", "{'events':[]}", '{"events":[NaN]}', '{"events":[Infinity]}',
                 "events=1", "<events/>", " ", "\n\n"):
        yield f"{text!r}", text.encode()
    yield "trailing garbage", whole + b"x"
    yield "two documents", whole + whole
    yield "a NUL behind the end", whole + b"\0"
    yield "a comma too many", events(GOOD, "").encode()
    yield "deep arrays", b"[" * 100000
    yield "deep objects", b'{"events":' * 50000
    yield "deep and closed", b'{"events":[' + b"[" * 5000 + b"]" * 5000 + b"]}"


def is_outside_strings(text, at):
    return text[:at].count(b'"') % 2 == 0


def bad_events():
    for text in ("null", "1", '"x"', "[]", "{}", '{"type":1}', '{"type":null}',
                 "[" * 300 + "]" * 300):
        yield from bad_event(f"event {text[:20]}", text)
    for text in ("null", "[]", '"x"', "1"):
        yield from bad_event(f"stats {text}", event(stats=text))
    yield from bad_event("no stats", '{"type":"stats","client":"bad"}')
    for name in ("inputBytes", "outputBytes"):
        for number in NOT_COUNTERS:
            yield from bad_event(f"{name} {number}", event(**{name: number}))
    for name in NOT_NAMES:
        yield from bad_event(f"client {name[:20]!r}",
                             event(client='"@"').encode().replace(b'"@"', name))
    for kind in ('"foo"', '"Handler"', "5", "[]"):
        yield from bad_event(f"kind {kind}", event(kind=kind))
    for service in ("5", "[]", '"\\u0001"', '"' + "x" * 256 + '"'):
        yield from bad_event(f"service {service[:20]}", event(service=service))


def table(seed):
    """All of them, in an order that `seed` decides."""
    rng = random.Random(seed)
    bodies = [Body(name, data, 400, 0, 0) for name, data in broken(rng)]
    bodies += bad_events()
    for name, raw in (("a raw NUL", b"\0"), ("a raw newline", b"\n"), ("a raw DEL", b"\x7f")):
        data = events(event(client='"a@b"')).encode().replace(b"@", raw)
        bodies.append(Body(f"{name} in a client", data, None, 1, 0))
    for text in ('{"type":"speed"}', '{"type":"limits","client":"bad"}'):
        bodies.append(Body(f"unknown type {text}", events(text, GOOD).encode(), 200, 0, 1))
    bodies.append(Body("no events at all", b'{"events":[]}', 200, 0, 0))
    bodies.append(Body("members nobody knows", json.dumps(
        {"v": 2, "events": [json.loads(GOOD) | {"more": [1, {}]}]}).encode(), 200, 0, 1))
    rng.shuffle(bodies)
    return bodies
