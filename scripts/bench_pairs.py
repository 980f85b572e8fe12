#!/usr/bin/env python3
"""Compares the working tree's speed with a base commit's on this machine, pair by pair.

    bench_pairs.py [--base COMMIT] [--rounds 5] [--limit 0.95] [WORKLOAD ...]

The base (the last commit, unless given; with nothing changed, the one before) is built in a worktree
under build/. Base and tree then take turns, each pair in the other order than the one before. The
verdict is the median of the pairs' ratios: a workload below the limit is measured again, and fails
the run when that confirms it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from project_files import ROOT

WORKLOADS = ["seed-cnn", "mlp784", "gometal-cnn", "resnet18-cifar", "infer:resnet18-cifar"]
BASE_TREE = ROOT / "build" / "bench-base"
SECONDS = 0.25  # of a repeat


def git(*words, folder=ROOT):
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True,
                          text=True).stdout.strip()


def build(folder):
    for step in (["cmake", "--preset", "demo", "-Wno-dev"],
                 ["cmake", "--build", "--preset", "demo", "--target", "ingot_cli"]):
        run = subprocess.run(step, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        if run.returncode != 0:
            sys.exit(f"{' '.join(step)} failed in {folder}:\n{run.stdout[-4000:]}")
    return folder / "build" / "demo" / "bin" / "ingot"


def check_out(commit):
    if not BASE_TREE.exists():
        git("worktree", "prune")
        git("worktree", "add", "--detach", str(BASE_TREE), commit)
    git("checkout", "--detach", "--force", commit, folder=BASE_TREE)


def rate(ingot, workload, device, steps):
    """Steps a second, or None where the command does not know the workload."""
    words = ["infer", workload.split(":")[1]] if workload.startswith("infer:") else [workload]
    command = [str(ingot), "bench", *words, "--device", device, "--json"]
    if steps:
        command += ["--steps", str(steps)]
    run = subprocess.run(command, capture_output=True, text=True,
                         env={**os.environ, "INGOT_FALLBACK": "error"})
    if run.returncode == 2:
        return None
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr}")
    return json.loads(run.stdout)["steps_per_second"]


def measure(base, tree, workload, device, rounds):
    """(base's and tree's median rates, median of the pairs' ratios); None: unknown to the base."""
    first = rate(base, workload, device, 1)
    if first is None:
        return None
    steps = max(1, int(first * SECONDS))
    pairs = []
    for number in range(rounds):
        order = (base, tree) if number % 2 == 0 else (tree, base)
        rates = {ingot: rate(ingot, workload, device, steps) for ingot in order}
        pairs.append((rates[base], rates[tree]))
    return (statistics.median(b for b, _ in pairs), statistics.median(t for _, t in pairs),
            statistics.median(t / b for b, t in pairs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", default=WORKLOADS)
    parser.add_argument("--base", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=0.95)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    changed = git("status", "--porcelain", "--untracked-files=no")
    commit = git("rev-parse", "--short", arguments.base or ("HEAD" if changed else "HEAD~1"))
    check_out(commit)
    base, tree = build(BASE_TREE), build(ROOT)
    print(f"base {commit}, {arguments.rounds} pairs each\n"
          f'{"workload":22} {"base":>10} {"tree":>10}  steps/s   ratio', flush=True)
    slower = []
    for workload in arguments.workloads:
        def once(rounds):
            return measure(base, tree, workload, arguments.device, rounds)
        result = once(arguments.rounds)
        if result is not None and result[2] < arguments.limit:
            result = once(2 * arguments.rounds)
            if result[2] < arguments.limit:
                slower.append(workload)
        if result is None:
            print(f"{workload:22} is unknown to the base")
            continue
        verdict = "  SLOWER" if workload in slower else ""
        print(f"{workload:22} {result[0]:10.1f} {result[1]:10.1f} {result[2]:17.3f}{verdict}",
              flush=True)
    if slower:
        print(f"slower than {arguments.limit} of the base: {', '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
