#!/usr/bin/env python3
"""Ingot beside its peers, in turns, in one run.

    compare_peers.py --ingot build/release/bin/ingot --python PYTHON_WITH_THE_PEERS
                     [--rounds 3] [--out FILE] [WORKLOAD[@BATCH] ...]

For each workload every contender runs as its own process, `--rounds` times in turn; its figure is
the median of its rounds, each the median of at least 5 repeats. Prints a Markdown table with the
ratio of Ingot to each peer and, for training, the time from the start of the process to the end of
the first step; writes one JSON object a workload to `--out`.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).resolve().parent / "peers" / "peers_cpu.py"
WORKLOADS = ["seed-cnn", "mlp784", "gometal-cnn", "resnet18-cifar", "resnet50",
             "infer:resnet18-cifar@1", "infer:resnet18-cifar@32"]
CONVOLUTIONAL = ["torch-eager", "torch-eager-nhwc", "torch-compile", "torch-compile-nhwc", "jax"]
CONTENDERS = {"mlp784": ["torch-eager", "torch-compile", "jax"],
              "infer": ["onnxruntime", "torch-eager", "torch-compile"]}
PEER_NAMES = sorted({*CONVOLUTIONAL, *(name for names in CONTENDERS.values() for name in names)})


def run_json(command, environment):
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"error": (run.stderr or run.stdout)[-300:]}
    return json.loads(lines[-1])


def ingot_command(arguments, name, batch):
    words = ["infer", name.split(":")[1]] if name.startswith("infer:") else [name]
    command = [arguments.ingot, "bench", *words, "--json", "--threads", str(arguments.threads)]
    return command + (["--batch", str(batch)] if batch else [])


def peer_command(arguments, name, batch, peer):
    command = [arguments.python, str(PEERS), "--workloads", name, "--peers", peer, "--threads",
               str(arguments.threads), "--seconds", str(arguments.seconds)]
    return command + (["--batch", str(batch)] if batch else [])


def median(rounds, key):
    values = [result[key] for result in rounds if key in result]
    return statistics.median(values) if values else None


def print_rows(workload, results, ceiling):
    """A row for each peer, the fastest first; `ceiling`: of Ingot's GFLOP/s, or None."""
    def first_step(rounds):
        time = median(rounds, "time_to_first_step_ms")
        return "" if time is None or workload.startswith("infer:") else f"{time:.0f}"

    ours = median(results["ingot"], "steps_per_second")
    gflops = median(results["ingot"], "gflops_per_second")
    speed = f"{100 * gflops / ceiling:.0f} %" if ceiling else f"{gflops:.1f}"
    peers = {peer: median(rounds, "steps_per_second") for peer, rounds in results.items()
             if peer != "ingot"}
    for peer, theirs in sorted(peers.items(), key=lambda item: -item[1]):
        print(f"| {workload} | {ours:.4g} | {speed} | {first_step(results['ingot'])} | {peer} "
              f"| {theirs:.4g} | {first_step(results[peer])} | {ours / theirs:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", default=WORKLOADS)
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--peers", nargs="+", choices=PEER_NAMES, help="these alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a peer's repeat")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ceiling", type=float,
                        help="GFLOP/s that multiply-adds in registers reach on these threads")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    environment = {**os.environ, "INGOT_FALLBACK": "error", "INGOT_THREADS": str(arguments.threads)}
    failed = False
    share = "share of the ceiling" if arguments.ceiling else "GFLOP/s"
    print(f"| workload | Ingot steps/s | {share} | first step ms | peer | steps/s "
          "| first step ms | Ingot / peer |\n|---|---|---|---|---|---|---|---|", flush=True)
    for workload in arguments.workloads:
        name, _, batch = workload.partition("@")
        peers = arguments.peers or CONTENDERS.get(name.split(":")[0], CONVOLUTIONAL)
        results = {}
        for _ in range(arguments.rounds):
            for who in ["ingot", *peers]:
                command = (ingot_command(arguments, name, batch) if who == "ingot" else
                           peer_command(arguments, name, batch, who))
                result = run_json(command, environment)
                if "error" in result:
                    print(f"{workload}: {who} failed: {result['error']}", file=sys.stderr)
                    failed = True
                    continue
                results.setdefault(who, []).append(result)
        if "ingot" not in results:
            continue
        print_rows(workload, results, arguments.ceiling)
        if arguments.out:
            with open(arguments.out, "a", encoding="utf-8") as out:
                out.write(json.dumps({"workload": workload, "rounds": results}) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
