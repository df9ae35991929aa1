#!/usr/bin/env python3
"""Unpack chosen files from Qt resource archives (.rcc), standard library only.

    unpack_rcc.py list    ARCHIVE
    unpack_rcc.py extract ARCHIVE DEST < PATHS

`list` prints "SIZE<TAB>PATH" for each file in ARCHIVE, SIZE being the stored
size. `extract` reads one path a line from standard input and writes each of
them to DEST/PATH. A path that is not in the archive is named on standard error
once the others are written, and makes the exit status 1.

The archive is treated as untrusted: every offset and length is checked before
it is used, names may not leave DEST, loops in the tree and oversized or
truncated compressed data are refused. Data with zstd compression is refused
unless Python has `compression.zstd` or the `zstd` program is on PATH.

Exit status: 0 done, 1 bad archive or path, 2 bad usage or missing decoder.
"""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

FLAG_ZLIB, FLAG_DIR, FLAG_ZSTD = 1, 2, 4
MAX_ARCHIVE = 256 << 20
MAX_FILE = 64 << 20
MAX_NODES = 1 << 17
MAX_NAME = 255
MAX_DEPTH = 32


class RccError(Exception):
    """The archive breaks the format, or asks for something unsafe."""


class MissingDecoder(Exception):
    """The data is sound as far as known but no decoder is at hand."""


class Rcc:
    def __init__(self, data):
        self.data = data
        magic, self.version, self.tree, self.blobs, self.names = self._get(">4sIIII", 0)
        if magic != b"qres":
            raise RccError("not a Qt resource archive (no 'qres' header)")
        if not 1 <= self.version <= 3:
            raise RccError(f"format version {self.version} is not supported")
        self.node_size = 14 if self.version == 1 else 22
        for what, at in (("tree", self.tree), ("data", self.blobs), ("names", self.names)):
            if at > len(data):
                raise RccError(f"{what} section starts past the end of the file")

    def _get(self, fmt, at):
        size = struct.calcsize(fmt)
        if at < 0 or at + size > len(self.data):
            raise RccError("an offset points past the end of the file")
        return struct.unpack_from(fmt, self.data, at)

    def _name(self, offset):
        at = self.names + offset
        (length,) = self._get(">H", at)
        if not 0 < length <= MAX_NAME:
            raise RccError(f"a name is {length} characters long")
        start = at + 6  # two bytes of length, four of hash
        end = start + 2 * length
        if end > len(self.data):
            raise RccError("a name runs past the end of the file")
        try:
            name = self.data[start:end].decode("utf-16-be")
        except UnicodeDecodeError as err:
            raise RccError("a name is not UTF-16") from err
        if name in (".", "..") or any(c in "/\\" or ord(c) < 32 or ord(c) == 127 for c in name):
            raise RccError(f"unsafe name {name!r}")
        return name

    def files(self):
        """Yield (path, flags, data offset) for each file."""
        seen = {0}
        _, flags, count, first = self._get(">IHII", self.tree)
        if not flags & FLAG_DIR:
            raise RccError("the root is not a folder")
        todo = [("", count, first, 1)]
        while todo:
            prefix, count, first, depth = todo.pop()
            if depth > MAX_DEPTH:
                raise RccError("folders are nested too deep")
            if len(seen) + count > MAX_NODES:
                raise RccError("too many entries")
            for index in range(first, first + count):
                if index in seen:
                    raise RccError("an entry is reached twice")
                seen.add(index)
                at = self.tree + index * self.node_size
                name_at, flags = self._get(">IH", at)
                path = prefix + self._name(name_at)
                if flags & FLAG_DIR:
                    sub_count, sub_first = self._get(">II", at + 6)
                    todo.append((path + "/", sub_count, sub_first, depth + 1))
                else:
                    (blob,) = self._get(">I", at + 10)
                    yield path, flags, blob

    def stored(self, blob):
        at = self.blobs + blob
        (length,) = self._get(">I", at)
        if at + 4 + length > len(self.data):
            raise RccError("a file's data runs past the end of the archive")
        return self.data[at + 4 : at + 4 + length]

    def read(self, flags, blob):
        raw = self.stored(blob)
        if flags & FLAG_ZLIB and flags & FLAG_ZSTD:
            raise RccError("a file claims two compressions at once")
        if flags & FLAG_ZLIB:
            return _unzlib(raw)
        if flags & FLAG_ZSTD:
            return _unzstd(raw)
        if len(raw) > MAX_FILE:
            raise RccError("a file is too large")
        return raw


def _unzlib(raw):
    if len(raw) < 4:
        raise RccError("compressed data is too short")
    (size,) = struct.unpack_from(">I", raw)
    if size > MAX_FILE:
        raise RccError("a file is too large once unpacked")
    decoder = zlib.decompressobj()
    try:
        out = decoder.decompress(raw[4:], size + 1)
    except zlib.error as err:
        raise RccError(f"bad zlib data: {err}") from err
    if len(out) != size or not decoder.eof:
        raise RccError("zlib data does not unpack to the size it states")
    return out


def _unzstd(raw):
    try:
        from compression import zstd  # Python 3.14 and later
    except ImportError:
        zstd = None
    if zstd is not None:
        decoder = zstd.ZstdDecompressor()
        try:
            out = decoder.decompress(raw, MAX_FILE + 1)
        except zstd.ZstdError as err:
            raise RccError(f"bad zstd data: {err}") from err
        if len(out) > MAX_FILE or not decoder.eof:
            raise RccError("zstd data is too large or cut short")
        return out
    program = shutil.which("zstd")
    if program is None:
        raise MissingDecoder("this archive uses zstd; install the zstd program")
    with tempfile.TemporaryFile() as source:
        source.write(raw)
        source.seek(0)
        child = subprocess.Popen(
            [program, "-dcq"], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with child:
            out = child.stdout.read(MAX_FILE + 1)
            if len(out) > MAX_FILE:
                child.kill()
    if len(out) > MAX_FILE:
        raise RccError("a file is too large once unpacked")
    if child.returncode != 0:
        raise RccError("bad zstd data")
    return out


def _write(dest, path, data):
    target = os.path.join(dest, *path.split("/"))
    root = os.path.realpath(dest)
    if os.path.commonpath([root, os.path.realpath(os.path.dirname(target))]) != root:
        raise RccError(f"{path} would be written outside the target folder")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = target + ".part"
    with open(temporary, "wb") as out:
        out.write(data)
    os.replace(temporary, target)


def _load(name):
    if os.path.getsize(name) > MAX_ARCHIVE:
        raise RccError("the archive is too large")
    with open(name, "rb") as source:
        return Rcc(source.read(MAX_ARCHIVE + 1))


def main(argv):
    if len(argv) == 3 and argv[1] == "list":
        rcc = _load(argv[2])
        for path, _, blob in sorted(rcc.files()):
            print(f"{len(rcc.stored(blob))}\t{path}")
        return 0
    if len(argv) == 4 and argv[1] == "extract":
        rcc = _load(argv[2])
        status = 0
        have = {path: (flags, blob) for path, flags, blob in rcc.files()}
        for path in (line.rstrip("\n") for line in sys.stdin):
            if not path:
                continue
            if path in have:
                _write(argv[3], path, rcc.read(*have[path]))
            else:
                print(f"unpack_rcc.py: not in the archive: {path}", file=sys.stderr)
                status = 1
        return status
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except (RccError, OSError) as problem:
        print(f"unpack_rcc.py: {problem}", file=sys.stderr)
        sys.exit(1)
    except MissingDecoder as problem:
        print(f"unpack_rcc.py: {problem}", file=sys.stderr)
        sys.exit(2)
