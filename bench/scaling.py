#!/usr/bin/env python3
"""How the time of a training step grows: with batch, depth, width and threads.

    scaling.py build/release/bench/small_nets_bench [--plot docs/benchmarks/scaling.svg] [--json FILE]

A chain of 3x3 convolutions with ReLU on 32x32 images (4 of 32 channels, batch 32, unless swept).
Plots the time per image on logarithmic axes; what grows in proportion is flat over the batch, of
slope 1 over the depth, between 1 and 2 over the width.
"""
import argparse
import json
import math
import os
import subprocess
import sys

BASE = {"depth": 4, "width": 32, "batch": 32}
SWEEPS = {"batch": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512], "depth": [1, 2, 4, 8, 16],
          "width": [8, 16, 32, 64, 128]}
THREADS = [1, 2]
COLOURS = {1: "#1f77b4", 2: "#d62728"}


def microseconds_per_image(tool, point, threads, seconds):
    run = subprocess.run([tool, "chain", *(str(point[k]) for k in ("depth", "width", "batch")),
                          str(seconds)], check=True, capture_output=True, text=True,
                         env={**os.environ, "INGOT_THREADS": str(threads)})
    result = json.loads(run.stdout)
    if result["loss"] is None:
        raise RuntimeError(f"{point}: the loss must be finite")
    return 1e6 / result["steps_per_second"] / point["batch"]


def panel(left, name, series):
    """One plot, 300 by 260, as SVG elements."""
    x0, y0, width, height = left + 56, 40, 230, 190
    xs = SWEEPS[name]
    values = [v for line in series.values() for v in line]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))

    def px(x):
        return x0 + width * math.log(x / xs[0]) / math.log(xs[-1] / xs[0])

    def py(y):
        return y0 + height - height * math.log(y / low) / math.log(high / low)

    parts = [f'<rect x="{x0}" y="{y0}" width="{width}" height="{height}" fill="none" '
             'stroke="#999"/>',
             f'<text x="{x0 + width / 2}" y="{y0 + height + 34}" text-anchor="middle">{name}</text>']
    for x in xs:
        parts.append(f'<text x="{px(x):.1f}" y="{y0 + height + 15}" text-anchor="middle" '
                     f'font-size="9">{x}</text>')
    tick = low
    while tick <= high:
        parts.append(f'<line x1="{x0}" x2="{x0 + width}" y1="{py(tick):.1f}" y2="{py(tick):.1f}" '
                     'stroke="#ddd"/>')
        parts.append(f'<text x="{x0 - 5}" y="{py(tick) + 3:.1f}" text-anchor="end" '
                     f'font-size="9">{tick:g}</text>')
        tick *= 10
    for threads, line in series.items():
        points = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in zip(xs, line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[threads]}" '
                     'stroke-width="1.5"/>')
        parts += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="2.5" fill="{COLOURS[threads]}"/>'
                  for x, y in zip(xs, line)]
    return parts


def plot(results):
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="900" height="275" '
             'font-family="sans-serif" font-size="12">',
             '<rect width="900" height="275" fill="white"/>',
             '<text x="10" y="20">training step, microseconds per image</text>']
    for i, threads in enumerate(THREADS):
        parts.append(f'<text x="{330 + 110 * i}" y="20" fill="{COLOURS[threads]}">{threads} '
                     f'thread{"s" if threads > 1 else ""}</text>')
    for i, (name, series) in enumerate(results.items()):
        parts += panel(300 * i, name, series)
    return "\n".join(parts + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a repeat")
    parser.add_argument("--sweeps", nargs="+", default=list(SWEEPS), choices=list(SWEEPS))
    parser.add_argument("--json", help="results are added to this file, and plotted from it")
    parser.add_argument("--plot")
    arguments = parser.parse_args()
    results = {}
    if arguments.json and os.path.exists(arguments.json):
        with open(arguments.json, encoding="utf-8") as file:
            results = {name: {int(t): line for t, line in series.items()}
                       for name, series in json.load(file).items()}
    for name in arguments.sweeps:
        results[name] = {threads: [microseconds_per_image(arguments.tool, {**BASE, name: value},
                                                          threads, arguments.seconds)
                                   for value in SWEEPS[name]] for threads in THREADS}
        print(f"{name:8}" + "".join(f"{value:>9}" for value in SWEEPS[name]))
        for threads, line in results[name].items():
            print(f"{threads} thr.  " + "".join(f"{value:9.1f}" for value in line), flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file)
    if arguments.plot:
        with open(arguments.plot, "w", encoding="utf-8") as file:
            file.write(plot(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
