#!/usr/bin/env python3
"""Test accuracy of Ingot and PyTorch with one recipe on the same data, over several seeds.

    compare_accuracy.py --ingot build/release/bin/ingot --python PYTHON_WITH_TORCH
                        --data mnist:DIR [--model lenet] [--seeds 5] [--epochs 3] [--batch 64]
                        [--lr 0.01] [--precision f32] [--device cpu] [--peer-device cpu]
                        [--schedule cosine] [--weight-decay X] [--label-smoothing X] [--shift N] [--flip]
                        [--limit 0.3]

Prints both sets of accuracies with mean and deviation, and fails when Ingot's mean is more than
`--limit` points below the peer's.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = Path(__file__).resolve().parent / "peers" / "accuracy_torch.py"


def recipe(arguments):
    words = ["--model", arguments.model, "--data", arguments.data,
             "--epochs", str(arguments.epochs), "--batch", str(arguments.batch),
             "--lr", str(arguments.lr), "--weight-decay", str(arguments.weight_decay),
             "--label-smoothing", str(arguments.label_smoothing),
             "--schedule", arguments.schedule, "--shift", str(arguments.shift),
             "--precision", arguments.precision]
    return words + (["--flip"] if arguments.flip else [])


def objects(command):
    """The JSON objects that a command prints; each is shown as it comes."""
    found, last = [], ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as run:
        for line in run.stdout:
            if line.startswith("{"):
                found.append(json.loads(line))
                print(line, end="", file=sys.stderr, flush=True)
            else:
                last = line
    if run.returncode != 0 or not found:
        sys.exit(f"{command[0]} failed: {last}")
    return found


def ingot(arguments, seed):
    with tempfile.TemporaryDirectory() as folder:
        last = objects([arguments.ingot, "train", *recipe(arguments), "--seed", str(seed), "--json",
                        "--device", arguments.device, "--out", f"{folder}/run"])[-1]
    return {"test_accuracy": last["test_accuracy"], "seconds": last["seconds"]}


def show(name, rows):
    accuracies = [100 * row["test_accuracy"] for row in rows]
    mean = statistics.mean(accuracies)
    deviation = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    seconds = statistics.median(row["seconds"] for row in rows)
    print(f"{name:8s} {mean:.3f} % +- {deviation:.3f}, {seconds:.1f} s a run: "
          + " ".join(f"{a:.2f}" for a in accuracies), flush=True)
    return mean


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="lenet")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--schedule", default="constant")
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--device", default="cpu", help="Ingot's")
    parser.add_argument("--peer-device", default="cpu")
    parser.add_argument("--limit", type=float, default=0.3, help="points")
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    ours = show("Ingot", [ingot(arguments, seed) for seed in seeds])
    theirs = show("PyTorch", objects([arguments.python, str(PEER), *recipe(arguments), "--device",
                                      arguments.peer_device, "--seeds", *map(str, seeds)]))
    print(f"difference {ours - theirs:+.3f} points, at least -{arguments.limit} wanted")
    return 0 if ours >= theirs - arguments.limit else 1


if __name__ == "__main__":
    sys.exit(main())
