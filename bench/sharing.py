#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which cache lines do several OS threads touch for each I/O, while one of them writes? All memory accesses of
spdk-io-scaling are traced by valgrind's lackey while each of its threads does its I/O; accesses belong to the
thread whose stack is being used. With --check, fails if the library shares what raw callbacks do not, or if the
candidate that shares a counter on purpose is not found."""

import argparse
import bisect
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

LINE = 64  # bytes
LIMIT = 0.01  # for each I/O: what happens now and then, at the start and the end, is below
SWITCH = 4  # so many accesses to another stack in a row: it is another thread that runs


class CannotTrace(Exception):
    """valgrind is missing, or cannot run the program."""


# --- the trace -----------------------------------------------------------------------------------


class Trace:
    """Reads the lines of lackey and of the program."""

    def __init__(self):
        self.stacks = {}  # page -> thread
        self.maps = []
        self.going = False
        self.done = False
        self.current = None
        self.instruction = 0
        self.pending = []  # since the first of `foreign` accesses to the stack of `other`
        self.other = None
        self.foreign = 0
        self.accesses = collections.Counter()  # (cache line, thread, is write, instruction)

    def mark(self, text):
        what, _, rest = text.partition(" ")
        if what == "thread":
            name, low, high = rest.split()
            for page in range(int(low) >> 12, (int(high) - 1 >> 12) + 1):
                self.stacks[page] = name
        elif what == "map":
            self.maps.append(rest)
        elif what == "begin":
            self.going = True
        elif what == "end":
            self.going = False
            self.done = True

    def note(self, thread, address, size, write, instruction):
        self.accesses[address // LINE, thread, write, instruction] += 1
        if (address + size - 1) // LINE != address // LINE:
            self.accesses[address // LINE + 1, thread, write, instruction] += 1

    def flush(self):
        for each in self.pending:
            self.note(self.current, *each)
        self.pending = []
        self.other = None
        self.foreign = 0

    def access(self, address, size, write):
        each = (address, size, write, self.instruction)
        owner = self.stacks.get(address >> 12)
        if owner is None:
            if self.other is None:
                self.note(self.current, *each)
            else:
                self.pending.append(each)
            return
        if owner == self.current:
            self.flush()
            self.note(self.current, *each)
            return
        if owner != self.other:
            self.flush()
            self.other = owner
        self.pending.append(each)
        self.foreign += 1
        if self.foreign == SWITCH:
            self.current = owner
            self.flush()

    def read(self, stream):
        rest = b""
        while chunk := stream.read(1 << 20):
            chunk = rest + chunk
            end = chunk.rfind(b"\n") + 1
            rest = chunk[end:]
            if self.going or b"MARK" in chunk:
                self.lines(chunk[:end])

    def lines(self, text):
        if not self.going:  # only what the program says
            text = text[text.index(b"MARK") :] if b"MARK" in text else b""
        for line in text.split(b"\n"):
            kind = line[:2]
            if kind == b"I ":
                if self.going:
                    self.instruction = line
            elif kind == b"MA":
                self.mark(line[5:].decode())
            elif self.going and kind in (b" S", b" M", b" L"):
                address, size = line[3:].split(b",")
                self.access(int(address, 16), int(size), kind != b" L")


def trace(program, candidate, threads, count, depth, environment=None):
    with tempfile.TemporaryDirectory() as folder:
        pipe = os.path.join(folder, "trace")
        os.mkfifo(pipe)
        command = ["valgrind", "--tool=lackey", "--trace-mem=yes", "--fair-sched=yes", f"--log-file={pipe}",
                   program, candidate, "--threads", str(threads), "--count", str(count), "--depth", str(depth),
                   "--marks", pipe]
        # Held open until the program has ended, so that reading ends then, whoever has opened it.
        holder = os.open(pipe, os.O_RDWR)
        with tempfile.TemporaryFile("w+") as said:
            try:
                run = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
            except FileNotFoundError as e:
                os.close(holder)
                raise CannotTrace("valgrind is not installed") from e
            threading.Thread(target=lambda: (run.wait(), os.close(holder))).start()
            out = Trace()
            with open(pipe, "rb", buffering=0) as stream:
                out.read(stream)
            status = run.wait()
            said.seek(0)
            lines = said.read().strip().splitlines()
        if status != 0 or not out.done:
            raise CannotTrace(f"lackey could not run {os.path.basename(program)}: "
                              f"{lines[-1] if lines else 'it said nothing'}")
        return out


# --- what it says --------------------------------------------------------------------------------


class Names:
    """Of functions and data, by address."""

    def __init__(self, maps):
        self.modules = []  # (first, last, path)
        self.base = {}
        self.symbols = {}
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+\s+(/\S+)", line)
            if not found:
                continue
            first, last, offset = (int(found.group(i), 16) for i in (1, 2, 3))
            path = found.group(4)
            self.modules.append((first, last, path))
            self.base[path] = min(self.base.get(path, first - offset), first - offset)

    def table(self, path):
        if path not in self.symbols:
            each = []
            for options in ([], ["-D"]):
                out = subprocess.run(["nm", "-C", "-n", *options, path], capture_output=True, text=True)
                for line in out.stdout.splitlines():
                    found = re.match(r"([0-9a-f]+) \w (.*)", line)
                    if found:
                        each.append((int(found.group(1), 16), found.group(2)))
            self.symbols[path] = sorted(each)
        return self.symbols[path]

    def of(self, address):
        """The symbol that the address lies in or behind; None where no file is mapped."""
        for first, last, path in self.modules:
            if first <= address < last:
                table = self.table(path)
                at = bisect.bisect_right(table, (address - self.base[path], "\x7f")) - 1
                return table[at][1] if at >= 0 else os.path.basename(path)
        return None


def shared_lines(t, count):
    """Those that one thread writes, and another one touches, more often than LIMIT for each I/O."""
    writes = collections.defaultdict(collections.Counter)
    touches = collections.defaultdict(collections.Counter)
    for (line, thread, write, _), n in t.accesses.items():
        touches[line][thread] += n
        if write:
            writes[line][thread] += n
    out = {}
    for line, by in writes.items():
        most = max((min(n, touches[line][other]) for writer, n in by.items() for other in touches[line]
                    if other != writer), default=0)
        if most > LIMIT * count:
            out[line] = most / count
    return out


def described(t, count):
    names = Names(t.maps)
    out = []
    for line, rate in sorted(shared_lines(t, count).items(), key=lambda item: -item[1]):
        by = collections.defaultdict(collections.Counter)
        for (at, thread, write, instruction), n in t.accesses.items():
            if at == line and n > LIMIT * count / 4:
                function = names.of(int(instruction[3:].split(b",")[0], 16)) or "?"
                by["written" if write else "read", function][thread] += n
        out.append({
            "address": hex(line * LINE),
            "where": names.of(line * LINE) or "heap",
            "per_io": rate,
            "by": [{"what": what, "function": function, "per_io": {k: n / count for k, n in sorted(each.items())}}
                   for (what, function), each in sorted(by.items())],
        })
    return out


def measure(program, candidates=("raw", "co_await", "shared"), threads=2, count=3000, depth=32, environment=None):
    """Shared lines by candidate, or why there are none."""
    out = {"threads": threads, "count": count, "depth": depth, "limit": LIMIT, "lines": {}, "accesses": {}}
    try:
        for candidate in candidates:
            t = trace(program, candidate, threads, count, depth, environment)
            out["lines"][candidate] = described(t, count)
            out["accesses"][candidate] = {
                name: sum(n for (_, thread, _, _), n in t.accesses.items() if thread == name)
                for name in map(str, range(threads))}
    except CannotTrace as e:
        out["skipped"] = str(e)
    return out


def say(results):
    for candidate, lines in results["lines"].items():
        seen = ", ".join(f"{n:,}" for n in results["accesses"][candidate].values())
        print(f"{candidate}: {len(lines)} cache lines are shared for each I/O ({seen} accesses seen)")
        for line in lines:
            print(f"  {line['address']} ({line['where']}): {line['per_io']:.3f} times for each I/O")
            for each in line["by"]:
                rates = ", ".join(f"thread {k}: {v:.3f}" for k, v in each["per_io"].items())
                print(f"    {each['what']} by {each['function']}: {rates}")


def complaints(results):
    if results.get("skipped"):
        return [results["skipped"]]
    lines = results["lines"]
    out = []
    if any(n < results["count"] for each in results["accesses"].values() for n in each.values()):
        out.append("a thread was not seen to do its I/O")
    if not any(line["per_io"] > 0.5 for line in lines["shared"]):
        out.append("the counter that is shared on purpose was not found")
    if len(lines["co_await"]) > len(lines["raw"]):
        out.append("the library shares cache lines that raw callbacks do not")
    return out


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("program", help="spdk-io-scaling")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--count", type=int, default=3000, help="I/Os of each thread")
    options.add_argument("--depth", type=int, default=32)
    options.add_argument("--preload", help="a library for the program under valgrind")
    options.add_argument("--check", action="store_true")
    options.add_argument("--json", action="store_true")
    o = options.parse_args()
    environment = dict(os.environ)
    if o.preload:
        environment["LD_PRELOAD"] = o.preload
    results = measure(o.program, threads=o.threads, count=o.count, depth=o.depth, environment=environment)
    if o.json:
        print(json.dumps(results, indent=1))
    else:
        say(results)
    wrong = complaints(results)
    for each in wrong:
        print(f"check-sharing: {each}", file=sys.stderr)
    sys.exit(1 if o.check and wrong else 0)


if __name__ == "__main__":
    main()
