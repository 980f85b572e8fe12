"""Test accuracy of PyTorch with the recipe of `ingot train`, for bench/compare_accuracy.py.

    accuracy_torch.py --model lenet --data mnist:DIR --epochs 3 --batch 64 --lr 0.01 --seeds 0 1 2
                      [--precision f32] [--device cpu] [--shift 4] [--flip] [--schedule cosine]
                      [--label-smoothing 0.1]

SGD with momentum; images scaled to [0, 1] and normalised by the training set's mean and deviation
of each channel. Prints one JSON object a seed. `folder:DIR` is DIR/train/CLASS/*.jpg and
DIR/test/CLASS/*.jpg, decoded by Pillow, or else by torchvision.
"""
import argparse
import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional

import nets_torch


def read(folder, name):
    plain = Path(folder) / name
    return plain.read_bytes() if plain.exists() else gzip.open(f"{plain}.gz").read()


def load_mnist(folder):
    def half(prefix):
        images = numpy.frombuffer(read(folder, f"{prefix}-images-idx3-ubyte"), numpy.uint8, offset=16)
        labels = numpy.frombuffer(read(folder, f"{prefix}-labels-idx1-ubyte"), numpy.uint8, offset=8)
        return images.reshape(len(labels), 1, 28, 28), labels
    return half("train"), half("t10k")


def load_cifar(folder):
    def half(names):
        rows = numpy.concatenate([numpy.frombuffer(read(folder, name), numpy.uint8).reshape(-1, 3073)
                                  for name in names])
        return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]
    folder = Path(folder)
    names = [f"data_batch_{k}.bin" for k in range(1, 6)]
    names = [n for n in names if (folder / n).exists() or (folder / f"{n}.gz").exists()]
    return half(names), half(["test_batch.bin"])


def decoder():
    try:
        from PIL import Image
        return lambda path: numpy.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)
    except ImportError:
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        return lambda path: decode_jpeg(read_file(str(path)), ImageReadMode.RGB).numpy()


def load_folder(folder):
    decode = decoder()

    def half(split):
        classes = sorted(path.name for path in (Path(folder) / split).iterdir())
        files = [(path, label) for label, name in enumerate(classes)
                 for path in sorted((Path(folder) / split / name).iterdir())]
        with ThreadPoolExecutor(16) as pool:
            images = numpy.stack(list(pool.map(decode, [path for path, _ in files])))
        return images, numpy.array([label for _, label in files])
    return half("train"), half("test")


def lenet():
    return nn.Sequential(nn.Conv2d(1, 20, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(50 * 5 * 5, 500), nn.ReLU(), nn.Linear(500, 10))


MODELS = {"lenet": lenet, "resnet18-cifar": nets_torch.resnet18_cifar,
          "gometal-cnn": nets_torch.gometal_cnn}
LOW = {"bf16": torch.bfloat16, "f16": torch.float16}


def augment(x, shift, flip):
    """Each image moved by up to `shift` black pixels and mirrored half of the time."""
    n, _, height, width = x.shape
    if shift:
        padded = functional.pad(x, [shift] * 4)
        down = torch.randint(0, 2 * shift + 1, (n, 1), device=x.device)
        right = torch.randint(0, 2 * shift + 1, (n, 1), device=x.device)
        rows = (torch.arange(height, device=x.device) + down)[:, None, :, None]
        columns = (torch.arange(width, device=x.device) + right)[:, None, None, :]
        image = torch.arange(n, device=x.device)[:, None, None, None]
        channel = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
        x = padded[image, channel, rows, columns]
    if flip:
        mirrored = torch.rand(n, 1, 1, 1, device=x.device) < 0.5
        x = torch.where(mirrored, x.flip(-1), x)
    return x


def schedule(options, optimizer, steps):
    """As `ingot train --schedule`; the momentum stays."""
    if options.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if options.schedule == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, steps,
                                                   cycle_momentum=False)
    return None


def train(options, data, seed):
    device = options.device
    torch.manual_seed(seed)
    (images, labels), (test_images, test_labels) = data
    pixels = torch.tensor(images, device=device)
    targets = torch.tensor(labels, dtype=torch.int64, device=device)
    scaled = images.astype(numpy.float64) / 255
    statistics = [torch.tensor(f(axis=(0, 2, 3)), dtype=torch.float32, device=device)[:, None, None]
                  for f in (scaled.mean, scaled.std)]
    prepare = lambda x: (x.float() / 255 - statistics[0]) / statistics[1]
    layout = (torch.channels_last if torch.device(device).type == "cuda"
              else torch.contiguous_format)
    model = MODELS[options.model]().to(device, memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9,
                                weight_decay=options.weight_decay)
    batches = -(-len(labels) // options.batch)
    scheduler = schedule(options, optimizer, options.epochs * batches)
    low = LOW.get(options.precision)
    kind = torch.device(device).type
    cast = lambda: torch.autocast(kind, low or torch.bfloat16, enabled=low is not None)
    scaler = torch.amp.GradScaler(kind, enabled=options.precision == "f16")
    begin = time.time()
    for _ in range(options.epochs):
        model.train()
        for chosen in torch.randperm(len(labels), device=device).split(options.batch):
            x = prepare(augment(pixels[chosen], options.shift, options.flip))
            x = x.contiguous(memory_format=layout)
            with cast():
                loss = functional.cross_entropy(model(x), targets[chosen],
                                                label_smoothing=options.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if scheduler:
                scheduler.step()
    loss.item()  # waits for the device
    seconds = time.time() - begin
    model.eval()
    hits = 0
    with torch.no_grad(), cast():
        for at in range(0, len(test_labels), 1000):
            x = prepare(torch.tensor(test_images[at:at + 1000], device=device))
            y = torch.tensor(test_labels[at:at + 1000], dtype=torch.int64, device=device)
            hits += (model(x).argmax(1) == y).sum().item()
    return {"seed": seed, "test_accuracy": hits / len(test_labels), "seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="lenet", choices=MODELS)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--schedule", default="constant",
                        choices=["constant", "cosine", "one-cycle"])
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32", "bf16", "f16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = (
        options.precision != "f32")
    torch.backends.cudnn.benchmark = True
    kind, folder = options.data.split(":", 1)
    data = {"mnist": load_mnist, "cifar": load_cifar, "folder": load_folder}[kind](folder)
    for seed in options.seeds:
        print(json.dumps(train(options, data, seed)), flush=True)


if __name__ == "__main__":
    main()
