#!/usr/bin/env python3
"""Writes the golden values of this folder with PyTorch and torchvision (1.13 and 0.14 or newer): a
second opinion on the reference kernels, the composites' bodies, the gradients, the update rules, the
schedules, whole training steps, and the models' names and initial distributions.

    python3 tests/goldens/make_goldens.py

Each case is a set of tensors "KIND.CASE.WHAT"; numbers that are not data are in "WHAT" = options.
All in double, so that the tests can ask for close agreement.
"""
import collections
import json
import pathlib
import struct

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

FOLDER = pathlib.Path(__file__).parent
TYPES = {torch.float64: "F64", torch.int32: "I32", torch.int64: "I64"}


class Goldens:
    def __init__(self):
        self.tensors = {}

    def add(self, prefix, **tensors):
        for name, tensor in tensors.items():
            if not torch.is_tensor(tensor):
                tensor = torch.tensor(tensor, dtype=torch.float64)
            self.tensors[f"{prefix}.{name}"] = tensor.detach().contiguous()

    def write(self, path):
        header, blobs, end = {}, [], 0
        # Wide elements first keep every tensor aligned.
        order = sorted(self.tensors, key=lambda n: (-self.tensors[n].element_size(), n))
        for name in order:
            tensor = self.tensors[name]
            blob = tensor.numpy().tobytes()
            header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape),
                            "data_offsets": [end, end + len(blob)]}
            blobs.append(blob)
            end += len(blob)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def rand(*shape, low=-1.0, high=1.0):
    return (torch.rand(*shape, dtype=torch.float64) * (high - low) + low).requires_grad_()


def gradients(y, inputs):
    """A random gradient of y, and what it makes of the inputs'."""
    g = torch.rand_like(y) - 0.5
    return g, torch.autograd.grad(y, inputs, g)


def pad(x, padding, value=0.0):
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def convolutions(out):
    cases = {  # x, w, stride, padding (top, bottom, left, right), dilation, groups
        "plain": ((2, 3, 6, 6), (4, 3, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
        "same": ((2, 3, 5, 5), (4, 3, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
        "stride": ((1, 4, 7, 8), (3, 4, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),
        "pointwise": ((2, 6, 4, 4), (5, 6, 1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1),
        "asymmetric": ((1, 2, 6, 7), (3, 2, 3, 2), (1, 2), (0, 2, 1, 0), (1, 1), 1),
        "dilated": ((1, 3, 9, 8), (2, 3, 3, 3), (1, 1), (2, 2, 1, 1), (2, 1), 1),
        "groups": ((2, 6, 5, 5), (9, 2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 3),
        "depthwise": ((1, 4, 6, 6), (8, 1, 3, 3), (2, 1), (1, 1, 1, 1), (1, 2), 4),
        "rest_unread": ((1, 2, 8, 8), (2, 2, 3, 3), (3, 3), (0, 0, 0, 0), (1, 1), 1),
    }
    for name, (xs, ws, stride, padding, dilation, groups) in cases.items():
        x, w = rand(*xs), rand(*ws)
        y = F.conv2d(pad(x, padding), w, None, stride, 0, dilation, groups)
        g, (dx, dw) = gradients(y, (x, w))
        out.add(f"conv2d.{name}", x=x, w=w, y=y, g=g, dx=dx, dw=dw,
                options=torch.tensor([*stride, *padding, *dilation, groups]))


def pools(out):
    cases = {  # x, kernel, stride, padding, dilation
        "halves": ((2, 3, 6, 6), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
        "stem": ((1, 3, 9, 9), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
        "asymmetric": ((2, 2, 5, 6), (2, 3), (2, 1), (0, 1, 2, 1), (1, 1)),
        "dilated": ((1, 2, 8, 8), (2, 3), (1, 1), (0, 0, 0, 0), (3, 2)),
    }
    for name, (xs, kernel, stride, padding, dilation) in cases.items():
        # Few distinct values: many windows have several maxima.
        for suffix, x in (("", rand(*xs)),
                          ("_ties", torch.randint(-2, 3, xs).double().requires_grad_())):
            padded = pad(x, padding, float("-inf"))
            y = F.max_pool2d(padded, kernel, stride, 0, dilation)
            g, (dx,) = gradients(y, (x,))
            out.add(f"max_pool2d.{name}{suffix}", x=x, y=y, g=g, dx=dx,
                    options=torch.tensor([*kernel, *stride, *padding, *dilation]))
    cases = {  # x, kernel, stride, symmetric padding, count_include_pad
        "halves": ((2, 3, 6, 6), (2, 2), (2, 2), (0, 0), True),
        "padded": ((1, 3, 7, 7), (3, 3), (2, 2), (1, 1), True),
        "not_counted": ((1, 3, 7, 6), (3, 2), (2, 1), (1, 1), False),
    }
    for name, (xs, kernel, stride, (ph, pw), include) in cases.items():
        x = rand(*xs)
        y = F.avg_pool2d(x, kernel, stride, (ph, pw), False, include)
        g, (dx,) = gradients(y, (x,))
        out.add(f"avg_pool2d.{name}", x=x, y=y, g=g, dx=dx,
                options=torch.tensor([*kernel, *stride, ph, ph, pw, pw, int(include)]))
    x = rand(2, 3, 4, 5)
    y = F.adaptive_avg_pool2d(x, 1)
    g, (dx,) = gradients(y, (x,))
    out.add("global_avg_pool2d.images", x=x, y=y, g=g, dx=dx)


def batch_norms(out):
    for name, shape, eps, momentum in (("images", (3, 4, 3, 5), 1e-5, 0.1),
                                       ("features", (8, 5), 1e-3, 0.3)):
        x, channels = rand(*shape, low=-1, high=3), shape[1]
        gamma, beta = rand(channels, low=0.5, high=1.5), rand(channels)
        mean, var = rand(channels).detach(), rand(channels, low=0.5, high=2).detach()
        new_mean, new_var = mean.clone(), var.clone()
        y = F.batch_norm(x, new_mean, new_var, gamma, beta, True, momentum, eps)
        g, (dx, dgamma, dbeta) = gradients(y, (x, gamma, beta))
        inference = F.batch_norm(x, mean, var, gamma, beta, False, momentum, eps)
        out.add(f"batch_norm.{name}", x=x, gamma=gamma, beta=beta, y=y, g=g, dx=dx, dgamma=dgamma,
                dbeta=dbeta, running_mean=mean, running_var=var, new_mean=new_mean,
                new_var=new_var, inference=inference, eps=eps, momentum=momentum)


def losses(out):
    for name, smoothing in (("plain", 0.0), ("smoothed", 0.1)):
        logits = rand(6, 10, low=-4, high=4)
        labels = torch.randint(0, 10, (6,))
        y = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        g, (dx,) = gradients(y, (logits,))
        out.add(f"cross_entropy.{name}", x=logits, labels=labels.int(), y=y, g=g, dx=dx,
                label_smoothing=smoothing)
    logits, probs = rand(5, 7, low=-4, high=4), torch.softmax(rand(5, 7).detach() * 3, 1)
    y = F.cross_entropy(logits, probs, reduction="none")
    g, (dx,) = gradients(y, (logits,))
    out.add("cross_entropy_probs.soft", x=logits, probs=probs, y=y, g=g, dx=dx)


def functions(out):
    for name, function in (("softmax", lambda x: torch.softmax(x, -1)),
                           ("log_softmax", lambda x: torch.log_softmax(x, -1)),
                           ("gelu", F.gelu), ("silu", F.silu), ("elu", F.elu),
                           ("softplus", F.softplus), ("leaky_relu", F.leaky_relu)):
        x = rand(5, 9, low=-4, high=4)
        y = function(x)
        g, (dx,) = gradients(y, (x,))
        out.add(f"function.{name}", x=x, y=y, g=g, dx=dx)


def optimizers(out):
    steps = 5
    cases = {
        "sgd": (torch.optim.SGD, dict(lr=0.1)),
        "momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
        "dampening": (torch.optim.SGD, dict(lr=0.05, momentum=0.8, dampening=0.3)),
        "weight_decay": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.01)),
        "nesterov": (torch.optim.SGD,
                     dict(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)),
        "adamw": (torch.optim.AdamW, dict(lr=1e-2)),
        "adamw_decay": (torch.optim.AdamW,
                        dict(lr=1e-2, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2)),
    }
    for name, (kind, options) in cases.items():
        p = torch.nn.Parameter(rand(7).detach())
        start, grads, values = p.detach().clone(), rand(steps, 7).detach(), []
        optimizer = kind([p], **options)
        for step in range(steps):
            p.grad = grads[step].clone()
            optimizer.step()
            values.append(p.detach().clone())
        o = optimizer.param_groups[0]
        rest = ([*o["betas"], o["eps"], o["weight_decay"]] if kind is torch.optim.AdamW else
                [o["momentum"], o["dampening"], o["weight_decay"], float(o["nesterov"])])
        kind_name = "adamw" if kind is torch.optim.AdamW else "sgd"
        out.add(f"{kind_name}.{name}", start=start, grads=grads, values=torch.stack(values),
                options=torch.tensor([o["lr"], *rest], dtype=torch.float64))


def schedules(out):
    rate = torch.optim.lr_scheduler
    cosine = lambda total: lambda o: rate.CosineAnnealingLR(o, total)
    step = lambda size, gamma: lambda o: rate.StepLR(o, size, gamma)

    def warm(steps, then):
        return lambda o: rate.SequentialLR(
            o, [rate.LinearLR(o, 1 / (steps + 1), 1.0, steps), then(o)], [steps])

    cases = {  # scheduler, then ours: base, total_steps, warmup_steps, step_size, gamma
        "constant.warm": (warm(5, step(1000, 1.0)), (0.3, 0, 5, 0, 0)),
        "cosine.plain": (cosine(20), (0.2, 20, 0, 0, 0)),
        "cosine.warm": (warm(6, cosine(24)), (0.2, 30, 6, 0, 0)),
        "one_cycle.plain": (lambda o: rate.OneCycleLR(o, 0.1, 30), (0.1, 30, 0, 0, 0)),
        "one_cycle.short": (lambda o: rate.OneCycleLR(o, 0.4, 10), (0.4, 10, 0, 0, 0)),
        "step.plain": (step(7, 0.5), (1.0, 0, 0, 7, 0.5)),
        "step.warm": (warm(4, step(7, 0.1)), (1.0, 0, 4, 7, 0.1)),
    }
    for name, (make, ours) in cases.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=ours[0])
        scheduler = make(optimizer)
        steps = ours[1] or 30
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        out.add(name, options=torch.tensor(ours, dtype=torch.float64),
                rates=torch.tensor(rates, dtype=torch.float64))


def small_net():
    """tests/goldens/training_golden_test.cpp builds the same."""
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
                         nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6, 3)).double()


def training(out):
    """Whole steps: forward, loss, gradients, clipping, schedule, update, running statistics.
    Coefficients are exact in f32, which is what a Graph keeps them in."""
    steps, batch = 6, 5
    rate = torch.optim.lr_scheduler
    cases = {
        "sgd": (lambda p: torch.optim.SGD(p, 0.125, 0.875, weight_decay=0.0625, nesterov=True),
                lambda o: rate.CosineAnnealingLR(o, steps), 0.5, 0.125),
        "adamw": (lambda p: torch.optim.AdamW(p, 0.03125, (0.875, 0.9375), 2**-10, 0.25),
                  lambda o: rate.StepLR(o, 2, 0.5), 0.0, 0.0),
    }
    for name, (optimizer_of, schedule_of, clip, smoothing) in cases.items():
        net = small_net()
        for parameter in net.parameters():  # away from equal or tiny numbers
            parameter.data = parameter.data + 0.1 * torch.rand_like(parameter)
        for key, value in net.state_dict().items():
            out.add(f"{name}.start/{key}", value=value.clone())
        optimizer = optimizer_of(net.parameters())
        schedule = schedule_of(optimizer)
        images = torch.randn(steps, batch, 2, 8, 8, dtype=torch.float64)
        labels = torch.randint(0, 3, (steps, batch))
        losses = []
        for step in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(images[step]), labels[step], label_smoothing=smoothing)
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
            if step in (0, steps - 1):
                for key, value in net.state_dict().items():
                    out.add(f"{name}.after{step + 1}/{key}", value=value.clone())
        net.eval()
        out.add(f"{name}.data", images=images, labels=labels.int(), losses=torch.stack(losses),
                evaluated=net(images[0]))


def models(path):
    """Names, shapes and initial distributions: name, shape, mean, deviation, greatest magnitude."""
    lenet = nn.Sequential(collections.OrderedDict(
        conv1=nn.Conv2d(1, 20, 5, padding=2), conv2=nn.Conv2d(20, 50, 5),
        fc1=nn.Linear(50 * 5 * 5, 500), fc2=nn.Linear(500, 10)))
    lines = []
    for model, net in (("lenet", lenet), ("resnet18", torchvision.models.resnet18()),
                       ("resnet50", torchvision.models.resnet50())):
        for name, tensor in net.state_dict().items():
            values = tensor.double()
            moments = (values.mean(), values.std(unbiased=False), values.abs().max())
            shape = ",".join(str(size) for size in tensor.shape) or "-"
            lines.append(" ".join([model, name, shape, *(f"{m:.6g}" for m in moments)]))
    path.write_text("\n".join(lines) + "\n")


def main():
    torch.manual_seed(1)
    ops = Goldens()
    for fill in (convolutions, pools, batch_norms, losses, functions):
        fill(ops)
    ops.write(FOLDER / "ops.safetensors")
    rules = Goldens()
    optimizers(rules)
    rules.write(FOLDER / "optimizers.safetensors")
    rates, steps = Goldens(), Goldens()
    schedules(rates)
    rates.write(FOLDER / "schedules.safetensors")
    training(steps)
    steps.write(FOLDER / "training.safetensors")
    models(FOLDER / "models.txt")


if __name__ == "__main__":
    main()
