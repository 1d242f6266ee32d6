"""Data directories that released versions have left behind, byte for byte."""
import base64
import contextlib
import pathlib
import sqlite3

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"

# What release-2 had counted when it was killed, in database and journal:
# {user: (used, input, output)}.
TOTALS = {"alice": (3410, 3400, 10), "bob": (550, 500, 50), "carol": (77, 77, 0),
          "dave": (40, 40, 0)}


def lay_out(name, data_dir):
    source = FIXTURES / name
    (data_dir / "journal").mkdir(parents=True)
    data_dir.chmod(0o750)
    with contextlib.closing(sqlite3.connect(data_dir / "tally.db")) as db:
        db.executescript("PRAGMA journal_mode=WAL;" + (source / "tally.sql").read_text())
    for path in source.glob("*.base64"):
        (data_dir / "journal" / path.stem).write_bytes(base64.b64decode(path.read_text()))
