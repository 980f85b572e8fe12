"""Writes CIFAR-10's binary files (what `--data cifar:DIR` reads) from JPEG images.

    pack_cifar10.py FOLDER DIR     FOLDER/train/CLASS/*.jpg and FOLDER/test/CLASS/*.jpg
    pack_cifar10.py --blob NAME DIR    NAME.train.xz and NAME.test.xz: for each image the length of
                                       its JPEG (u32), its label (u8) and the JPEG

Decodes with Pillow, or else with torchvision.
"""
import io
import lzma
import struct
import sys
from pathlib import Path

import numpy

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def decoder():
    try:
        from PIL import Image
        return lambda data: numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    except ImportError:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg
        return lambda data: decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8),
                                        ImageReadMode.RGB).numpy()


def from_folder(folder, split):
    for label, name in enumerate(CLASSES):
        for path in sorted((Path(folder) / split / name).glob("*.jpg")):
            yield label, path.read_bytes()


def from_blob(name, split):
    data = lzma.open(f"{name}.{split}.xz").read()
    at = 0
    while at < len(data):
        length, label = struct.unpack_from("<IB", data, at)
        yield label, data[at + 5:at + 5 + length]
        at += 5 + length


def main():
    blob = sys.argv[1] == "--blob"
    source, target = sys.argv[2:4] if blob else sys.argv[1:3]
    decode = decoder()
    Path(target).mkdir(parents=True, exist_ok=True)
    for split, files in (("train", [f"data_batch_{k}.bin" for k in range(1, 6)]),
                         ("test", ["test_batch.bin"])):
        images = (from_blob if blob else from_folder)(source, split)
        records = [bytes([label]) + decode(data).tobytes() for label, data in images]
        share = -(-len(records) // len(files))
        for k, name in enumerate(files):
            (Path(target) / name).write_bytes(b"".join(records[k * share:(k + 1) * share]))
        print(f"{split}: {len(records)} images")


if __name__ == "__main__":
    main()
