# SPDX-License-Identifier: BSD-3-Clause
"""Compile time and size of a small program, with the library and with SPDK's C API."""

import json
import os
import shlex
import subprocess
import tempfile
import time


def _compile_command(build, source):
    with open(os.path.join(build, "compile_commands.json")) as f:
        for entry in json.load(f):
            if os.path.basename(entry["file"]) == source:
                words = shlex.split(entry["command"])
                if "ccache" in os.path.basename(words[0]):  # it would only show how fast a cache is
                    words = words[1:]
                return words, entry["directory"]
    raise RuntimeError(f"{source} is not part of the build in {build}")


def _stripped_size(program):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["strip", "-o", out.name, program], check=True)
        return os.path.getsize(out.name)


def measure_small(build, rounds):
    """Seconds to compile the one source, by turns, and bytes of the program, stripped."""
    programs = {"library": ("small_cpp.cpp", "spdk-io-small-cpp"), "c": ("small_c.c", "spdk-io-small-c")}
    seconds = {name: [] for name in programs}
    for round_ in range(rounds + 1):
        for name, (source, _) in programs.items():
            command, folder = _compile_command(build, source)
            with tempfile.NamedTemporaryFile(suffix=".o") as out:
                command[command.index("-o") + 1] = out.name
                start = time.monotonic()
                subprocess.run(command, cwd=folder, check=True)
                if round_ > 0:
                    seconds[name].append(time.monotonic() - start)
    sizes = {
        name: _stripped_size(os.path.join(build, "bench", program))
        for name, (_, program) in programs.items()
    }
    return {"compile_seconds": seconds, "bytes": sizes}
