"""Samples of GOST's configuration, wherever they are printed: found, read, and checked."""
import re

KEY = re.compile(r'([\w.]+):(?:\s+(.*))?$')
COMMENT = re.compile(r'(^|\s)\s*#.*$')


def find_samples(text):
    """Each sample of the text: from its `services:` on, and a comment just before that."""
    samples, lines = [], text.splitlines()
    for i, line in enumerate(lines):
        begin = re.match(r"\s*(?=services:)", line)
        if not begin:
            continue
        indent = begin[0]
        at_level = re.compile(re.escape(indent) + r"([ #-]|\w+:|$)")
        end = i
        while end < len(lines) and (not lines[end].strip() or at_level.match(lines[end])):
            end += 1
        while not lines[end - 1].strip() or lines[end - 1].startswith(indent + "#"):
            end -= 1
        while i > 0 and lines[i - 1].startswith(indent + "# "):
            i -= 1
        samples.append("\n".join(line[len(indent):] for line in lines[i:end]))
    return samples


def scalar(text):
    if text.startswith("{"):
        return {key: scalar(value) for key, value in
                (pair.split(": ") for pair in text.strip("{}").split(", "))}
    return {"true": True, "false": False}.get(text, text.strip('"'))


def read_block(lines):
    """The value that begins with the first of lines, (indent, text); takes its lines away."""
    indent, text = lines[0]
    if text.startswith("- "):
        found = []
        while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
            lines[0] = (indent + 2, lines[0][1][2:])
            found.append(read_block(lines))
        return found
    if not KEY.match(text):
        return scalar(lines.pop(0)[1])
    found = {}
    while lines and lines[0][0] == indent and not lines[0][1].startswith("- "):
        key, value = KEY.match(lines.pop(0)[1]).groups()
        has_block = lines and (lines[0][0] > indent or
                               (lines[0][0] == indent and lines[0][1].startswith("- ")))
        assert key not in found, key
        found[key] = scalar(value) if value else read_block(lines) if has_block else None
    return found


def read_yaml(text):
    """As much of YAML as the samples use."""
    lines = [(len(line) - len(line.lstrip()), line.strip())
             for line in (COMMENT.sub("", line) for line in text.splitlines()) if line.strip()]
    found = read_block(lines)
    assert not lines, f"not understood: {lines[0]}"
    return found


def service_without_users(text):
    """The README's, of a handler that reports nothing by itself."""
    section = re.search(r"^### Services without users\n(.*?)^#", text, re.DOTALL | re.MULTILINE)[1]
    (service,) = read_yaml("\n".join(
        line[4:] for line in section.splitlines() if line.startswith("    ")))
    return service


def check_sample(text, *, is_delta=True):
    """All that tallyd needs of GOST is in it, each at its level: its configuration."""
    found = read_yaml(text)
    (observer,), services = found["observers"], found["services"]
    for service in services:
        assert service["observer"] == observer["name"], "no states"
        assert service["handler"]["observer"] == observer["name"], "no users"
        assert "enableStats" not in (service.get("metadata") or {}), "not only states"
        assert "observer.resetTraffic" not in (service.get("metadata") or {}), "the wrong level"
        metadata = service["handler"].get("metadata") or {}
        assert metadata.get("observer.resetTraffic", False) is is_delta
    assert is_delta or re.search("# .*cumulative", text)
    check_plugin(observer["plugin"])
    return found


def check_plugin(plugin):
    assert plugin["type"] == "http", "it would speak gRPC"
    assert plugin["timeout"], "GOST would wait for ever"
    assert re.fullmatch(r"http://[^/@:]+:[^/@:]+@[^/]+/observer", plugin["addr"])
