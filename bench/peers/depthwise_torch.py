#!/usr/bin/env python3
"""Speed of PyTorch's depthwise convolutions on one thread: GFLOP/s forward and of the data gradient.

The shapes are conv_bench's; times are the best of several runs in processor time, as there.
"""

import time

import torch

# batch, channels, size, kernel, stride
SHAPES = [(8, 32, 112, 3, 1), (8, 64, 112, 3, 2), (8, 128, 56, 3, 1), (8, 144, 56, 3, 2),
          (8, 256, 28, 3, 1), (8, 512, 14, 3, 1), (8, 512, 14, 3, 2), (8, 960, 7, 3, 1),
          (8, 144, 56, 5, 2), (8, 240, 28, 5, 1), (8, 672, 14, 5, 2), (8, 960, 7, 5, 1),
          (8, 96, 56, 7, 1), (8, 384, 14, 7, 1), (8, 768, 7, 7, 1), (8, 20, 28, 3, 1),
          (8, 20, 28, 3, 2), (8, 100, 14, 5, 1), (8, 20, 112, 3, 1), (8, 100, 7, 3, 1)]


def best_seconds(run):
    run()
    best, total, runs = 1e9, 0.0, 0
    while runs < 5 or (total < 0.1 and runs < 2000):
        start = time.thread_time()
        run()
        seconds = time.thread_time() - start
        best = min(best, seconds)
        total += seconds
        runs += 1
    return best


def main():
    torch.set_num_threads(1)
    for batch, channels, size, kernel, stride in SHAPES:
        pad = kernel // 2
        x = torch.randn(batch, channels, size, size)
        w = torch.randn(channels, 1, kernel, kernel)
        y = torch.conv2d(x, w, None, stride, pad, 1, channels)
        g = torch.randn_like(y)
        flops = 2 * y.numel() * kernel * kernel
        forward = best_seconds(lambda: torch.conv2d(x, w, None, stride, pad, 1, channels))
        gradient = best_seconds(lambda: torch.ops.aten.convolution_backward(
            g, x, w, None, [stride, stride], [pad, pad], [1, 1], False, [0, 0], channels,
            [True, False, False]))
        name = f"depthwise {channels}@{size}{'/2' if stride > 1 else ''} {kernel}x{kernel}"
        print(f"{name:24} {1e-9 * flops / forward:.0f} {1e-9 * flops / gradient:.0f}", flush=True)


if __name__ == "__main__":
    main()
