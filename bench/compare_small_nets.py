"""Small random networks in Ingot and in PyTorch (eager), one after the other in the same run.

    compare_small_nets.py build/release/bench/small_nets_bench [--count 50] [--first 0]

Both read the networks that `small_nets_bench list` describes. Each is timed `--rounds` times by
each side in turn; the figure of a side is the median of its rounds, each the median of 5 repeats.
One JSON object a network, then a summary: the median ratio and the slowest.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "gelu": "GELU", "silu": "SiLU",
               "elu": "ELU", "softplus": "Softplus", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def torch_net(torch, spec):
    nn = torch.nn
    layers = []
    for layer in spec["layers"]:
        kind, kernel, stride, padding = (layer[k] for k in ("kind", "kernel", "stride", "padding"))
        if kind == "conv":
            layers.append(nn.Conv2d(layer["in"], layer["out"], kernel, stride, padding))
        elif kind == "max_pool":
            layers.append(nn.MaxPool2d(kernel, stride, padding))
        elif kind == "avg_pool":
            layers.append(nn.AvgPool2d(kernel, stride, padding))
        elif kind == "global_pool":
            layers.append(nn.AdaptiveAvgPool2d(1))
        elif kind == "flatten":
            layers.append(nn.Flatten())
        elif kind == "linear":
            layers.append(nn.Linear(layer["in"], layer["out"]))
        else:
            layers.append(getattr(nn, ACTIVATIONS[kind])())
    return nn.Sequential(*layers)


def torch_step(torch, spec, buffers):
    torch.manual_seed(spec["seed"])
    model = torch_net(torch, spec)
    batch, classes, rate = spec["batch"], spec["classes"], spec["learning_rate"]
    if spec["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    xs = [2 * torch.rand(batch, spec["channels"], spec["side"], spec["side"]) - 1
          for _ in range(buffers)]
    if spec["loss"] in ("labels", "smoothed"):
        smoothing = spec["smoothing"] if spec["loss"] == "smoothed" else 0.0
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
        ys = [torch.randint(0, classes, (batch,)) for _ in range(buffers)]
    else:
        squares = spec["loss"] == "squares"
        loss_of = torch.nn.MSELoss() if squares else torch.nn.CrossEntropyLoss()
        ys = [torch.rand(batch, classes) for _ in range(buffers)]
        ys = [y / y.sum(1, keepdim=True) for y in ys]

    def step(b):
        optimizer.zero_grad(set_to_none=True)
        loss_of(model(xs[b]), ys[b]).backward()
        optimizer.step()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.08, help="of a repeat")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["INGOT_THREADS"] = str(arguments.threads)
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    import torch

    from peers.peers_cpu import BUFFERS, measure
    torch.set_num_threads(arguments.threads)
    last = arguments.first + arguments.count
    listed = subprocess.run([arguments.tool, "list", str(last)], check=True, capture_output=True,
                            text=True).stdout.splitlines()
    ratios = []
    for text in listed[arguments.first:]:
        spec = json.loads(text)
        step = torch_step(torch, spec, BUFFERS)
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            result = subprocess.run([arguments.tool, "run", str(spec["seed"]),
                                     str(arguments.seconds)], check=True, capture_output=True,
                                    text=True)
            result = json.loads(result.stdout)
            if result["loss"] is None:
                raise RuntimeError(f"seed {spec['seed']}: the loss must be finite")
            ours.append(result["steps_per_second"])
            _, rates = measure(step, lambda: None, arguments.seconds, 5, 0.1)
            theirs.append(statistics.median(rates))
        ours, theirs = statistics.median(ours), statistics.median(theirs)
        ratios.append((ours / theirs, spec["seed"]))
        print(json.dumps({"seed": spec["seed"], "ingot": ours, "torch": theirs,
                          "ratio": ours / theirs}), flush=True)
    slowest = sorted(ratios)[:3]
    print(json.dumps({"torch": torch.__version__, "nets": len(ratios),
                      "median_ratio": statistics.median(r for r, _ in ratios),
                      "slowest": [{"ratio": r, "seed": s} for r, s in slowest]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
