"""Reads segment files as include/journal/segment.h and record.h describe them."""
import collections
import struct

SEGMENT_HEAD = struct.Struct("<8sQQQII")
RECORD_HEAD = struct.Struct("<IIQQQQ16s")
IS_COMMAND = 1 << 31

Record = collections.namedtuple("Record", "path offset size seq synced_seq time_ms conn")


def segments(data_dir):
    return sorted((data_dir / "journal").glob("*.seg"))


def synced_at_begin(path):
    """What a segment's header says was on stable storage when the segment was begun."""
    head = path.read_bytes()[:SEGMENT_HEAD.size]
    return SEGMENT_HEAD.unpack(head)[2] if len(head) == SEGMENT_HEAD.size else 0


def records(data_dir):
    """Every whole record, in order; checksums are not looked at.

    A segment that a running daemon removes meanwhile has none.
    """
    found = []
    for path in segments(data_dir):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        at = SEGMENT_HEAD.size
        while at + RECORD_HEAD.size <= len(data):
            length, _, seq, synced_seq, conn, time_ms, _ = RECORD_HEAD.unpack_from(data, at)
            size = RECORD_HEAD.size + (length & ~IS_COMMAND)
            if seq == 0 or at + size > len(data):
                break
            found.append(Record(path, at, size, seq, synced_seq, time_ms, conn))
            at += size
    return found


def flip_byte(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))
