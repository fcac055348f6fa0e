# SPDX-License-Identifier: BSD-3-Clause
"""SPDK's own bdevperf next to the library, by turns: on a null device, and on an NVMe device over
TCP whose target runs on this machine. Both are given one core and spin there.

bdevperf takes whole seconds, so `seconds` is rounded up for all. Without its programs a part is
reported as skipped, with the reason.
"""

import contextlib
import json
import math
import os
import re
import socket
import subprocess
import tempfile
import time

from files import CannotMeasure, by_turns, run_json, run_program

_DEPTHS = [1, 32, 128]
_BLOCK = 512
_NULL_BLOCKS = (1 << 30) // _BLOCK
_SUBSYSTEM = "nqn.2016-06.io.spdk:bench"
# No hugepages and no devices: needs no set-up of the machine.
_SPDK_OPTIONS = ["--no-huge", "-s", "1024", "--no-pci"]
_START_UP = 30  # seconds, more than any start takes


def _missing(programs):
    for name, path in programs.items():
        if not path:
            return f"{name} was not given"
        if not os.path.exists(path):
            return f"{name} is not there"
    return None


def _configuration(folder, name, subsystems):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        json.dump({"subsystems": [
            {"subsystem": subsystem, "config": [{"method": m, "params": p} for m, p in calls]}
            for subsystem, calls in subsystems.items()]}, f)
    return path


def _null_device():
    return ("bdev_null_create",
            {"name": "null", "num_blocks": _NULL_BLOCKS, "block_size": _BLOCK})


def _run_bdevperf(bdevperf, folder, configuration, workload, depth, seconds, core, environment):
    command = [bdevperf, *_SPDK_OPTIONS, "-m", hex(1 << core),
               "-r", os.path.join(folder, "bdevperf.sock"), "-q", str(depth), "-o", "4096",
               "-w", workload, "-t", str(seconds), "-c", configuration]
    try:
        out = subprocess.run(command, capture_output=True, text=True, env=environment,
                             timeout=seconds + _START_UP)
    except subprocess.TimeoutExpired as e:
        raise CannotMeasure("bdevperf did not end") from e
    found = re.findall(r"^\s*Total\s+:\s+([\d.]+)", out.stdout, re.MULTILINE)
    if out.returncode != 0 or not found or float(found[-1]) == 0:
        last = ((out.stderr + out.stdout).strip().splitlines() or ["it said nothing"])[-1]
        raise CannotMeasure(f"bdevperf failed: {last}")
    return float(found[-1])


# --- a null device -------------------------------------------------------------------------------


def _run_overhead(program, depth, count, core, environment):
    """I/O per second of the raw callbacks and of co_await, in one process, by turns."""
    out = run_json([program, "--part", "overhead", "--depth", str(depth), "--rounds", "1",
                    "--count", str(count)], environment, core)
    if out["provider"] != "spdk":
        raise CannotMeasure(f"spdk-io-bench was built on {out['provider']}, not on SPDK")
    ns = out["overhead"][0]["ns"]
    return {name: 1e9 / ns[name][0] for name in ("raw", "co_await")}


def measure_bdevperf(bench_program, bdevperf, rounds, seconds, environment=None, core=0,
                     say=lambda what: None):
    """Sequential reads of 4 KiB from a null device: I/O per second in each round. `bench_program`:
    spdk-io-bench, built on SPDK. `environment`: where the programs need one to find SPDK's
    libraries."""
    missing = _missing({"spdk-io-bench": bench_program, "bdevperf": bdevperf})
    if missing:
        return {"skipped": missing}
    seconds = max(1, math.ceil(seconds))
    count = 1_000_000 * seconds  # all candidates together then take about as long as bdevperf
    out = {"seconds": seconds, "cases": []}
    try:
        with tempfile.TemporaryDirectory() as folder:
            configuration = _configuration(folder, "null.json", {"bdev": [_null_device()]})
            for depth in _DEPTHS:
                say(f"bdevperf on a null device, {depth} in flight")
                results = by_turns({
                    "bdevperf": lambda: _run_bdevperf(bdevperf, folder, configuration, "read", depth,
                                                      seconds, core, environment),
                    "ours": lambda: _run_overhead(bench_program, depth, count, core, environment),
                }, rounds)
                iops = {"bdevperf": results["bdevperf"]}
                for name in ("raw", "co_await"):
                    iops[name] = [r[name] for r in results["ours"]]
                out["cases"].append({"depth": depth, "iops": iops})
    except CannotMeasure as e:
        out["skipped"] = str(e)
    return out


# --- NVMe over TCP -------------------------------------------------------------------------------


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def _target_configuration(folder, port):
    address = {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)}
    return _configuration(folder, "target.json", {
        "bdev": [_null_device()],
        "nvmf": [
            ("nvmf_create_transport", {"trtype": "TCP"}),
            ("nvmf_create_subsystem",
             {"nqn": _SUBSYSTEM, "allow_any_host": True, "serial_number": "SPDKIO0000000001"}),
            ("nvmf_subsystem_add_ns", {"nqn": _SUBSYSTEM, "namespace": {"bdev_name": "null"}}),
            ("nvmf_subsystem_add_listener", {"nqn": _SUBSYSTEM, "listen_address": address}),
        ]})


def _initiator_configuration(folder, port):
    return _configuration(folder, "initiator.json", {"bdev": [("bdev_nvme_attach_controller", {
        "name": "remote", "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1",
        "trsvcid": str(port), "subnqn": _SUBSYSTEM})]})


@contextlib.contextmanager
def _target(nvmf_tgt, folder, port, core, environment):
    command = [nvmf_tgt, *_SPDK_OPTIONS, "-m", hex(1 << core),
               "-r", os.path.join(folder, "target.sock"),
               "-c", _target_configuration(folder, port)]
    with open(os.path.join(folder, "target.log"), "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            give_up = time.monotonic() + _START_UP
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > give_up:
                    log.seek(0)
                    last = (log.read().strip().splitlines() or ["it said nothing"])[-1]
                    raise CannotMeasure(f"nvmf_tgt does not listen: {last}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure_nvme_tcp(file_program, bdevperf, nvmf_tgt, rounds, seconds, environment=None, core=0,
                     target_core=1, say=lambda what: None):
    """Random reads of 4 KiB over the loopback from a target with a null namespace, which spins on a
    core of its own: I/O per second in each round. `file_program`: spdk-io-file, built on SPDK."""
    missing = _missing({"spdk-io-file": file_program, "bdevperf": bdevperf, "nvmf_tgt": nvmf_tgt})
    if not missing and not {core, target_core} <= os.sched_getaffinity(0):
        missing = "two cores are needed"
    if missing:
        return {"skipped": missing}
    seconds = max(1, math.ceil(seconds))
    out = {"seconds": seconds, "cases": []}
    try:
        with tempfile.TemporaryDirectory() as folder:
            port = _free_port()
            configuration = _initiator_configuration(folder, port)
            with _target(nvmf_tgt, folder, port, target_core, environment):
                for depth in _DEPTHS:
                    say(f"NVMe over TCP, {depth} in flight")
                    options = ["--json-config", configuration, "--bdev", "remoten1",
                               "--core-mask", hex(1 << core), "--depth", str(depth)]
                    iops = by_turns({
                        "bdevperf": lambda: _run_bdevperf(bdevperf, folder, configuration,
                                                          "randread", depth, seconds, core,
                                                          environment),
                        "spdk_io": lambda: run_program(file_program, options, seconds,
                                                       environment)["iops"],
                    }, rounds)
                    out["cases"].append({"depth": depth, "iops": iops})
    except CannotMeasure as e:
        out["skipped"] = str(e)
    return out
