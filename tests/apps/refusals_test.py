"""What the `ingot` command says, word for word, when it refuses: arguments, files, disks."""

import gzip
import os
import resource
import shutil
import signal
import struct
import unittest
import zlib

from ingot_command import DATA, CommandTest, main

TRAIN = ("train", "--model", "lenet", "--data", DATA)
MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
         "t10k-labels-idx1-ubyte")
MODELS = "seed-cnn, mlp784, lenet, gometal-cnn, resnet18, resnet18-cifar, resnet50"


def idx(*shape, content):
    return struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape) + bytes(content)


def png(width, height):
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + bytes(range(width)) for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Arguments(CommandTest):
    def test_of_every_command(self):
        for arguments, text in (
                ((), "ingot: a command must be given, got none\nhelp: see ingot --help"),
                (("tran",), 'ingot: argument must be one that is known, got "tran"\n'
                 'help: did you mean "train", "plan"? see ingot --help'),
                (("plan", "lenett"), 'model "lenett": must be a known model, got no such name\n'
                 'help: did you mean "lenet"?'),
                (("bench", "vgg"), 'model "vgg": must be a known model, got no such name\n'
                 f"help: models are {MODELS}"),
                (("plan", "lenet", "--batch", "0"), '--batch: must be a positive integer, got "0"\n'
                 "help: see ingot plan --help"),
                (("bench", "lenet", "--steps", "-1"), '--steps: must be a positive integer, got "-1"'
                 "\nhelp: see ingot bench --help"),
                (("bench", "lenet", "--precision", "fp8"),
                 'precision "fp8": must be f32, tf32, bf16 or f16, got another name'),
                (("bench", "lenet", "--tune", "fast"),
                 'tune "fast": must be "off", "quick" or "full", got no such name'),
                (("bench", "infer", "lenet", "--tune", "full", "--device", "reference"),
                 'tune "full": device must be "cpu" or "cuda", where kernels are chosen by timing, '
                 'got "reference"'),
                (("bench", "infer", "lenet", "--profile", "f"), "--profile: must be given for "
                 "training alone, got it for infer\nhelp: see ingot bench --help"),
                (("bench", "infer", "lenet", "--fixed", "1"), "--fixed: must be given for training "
                 "alone, got it for infer\nhelp: see ingot bench --help"),
                (("bench", "lenet", "mlp784"), 'model: must be given after infer alone, got "mlp784"'
                 "\nhelp: see ingot bench --help"),
                (("bench", "lenet", "--against", "cpu"), "--against: must be given with --check "
                 "steps, got --check all\nhelp: see ingot bench --help"),
                (("plan",), "model is required\nhelp: see ingot plan --help"),
                (("eval", "nowhere"),
                 'checkpoint "nowhere": must hold state.json, got no such file'),
                (("predict", "nowhere"),
                 'checkpoint "nowhere": must hold state.json, got no such file'),
                (("bisect", "nowhere"),
                 'file "nowhere": must be readable, got no such file or directory')):
            self.expect_refusal(arguments, f"error: {text}\n")

    def test_of_train(self):
        help_line = "\nhelp: see ingot train --help"
        for arguments, text in (
                (("--epoch", "3"), 'train: argument must be one that is known, got "--epoch"\n'
                 'help: did you mean "--epochs"? see ingot train --help'),
                (("--epochs", "1e3"), '--epochs: must be an integer, got "1e3"' + help_line),
                (("--epochs", "0"), "trainer: epochs must be from 1 to 1000000, got 0"),
                (("--epochs",), "--epochs: 1 required INT missing" + help_line),
                (("--batch", "many"), '--batch: must be an integer, got "many"' + help_line),
                (("--batch", "0"), "trainer: batch_size must be positive, got 0"),
                (("--lr", "fast"), '--lr: must be a number, got "fast"' + help_line),
                (("--lr", "nan"), "trainer: learning_rate must be finite and not negative, got nan"),
                (("--lr", "-1"), "trainer: learning_rate must be finite and not negative, got -1"),
                (("--lr", "inf"), "trainer: learning_rate must be finite and not negative, got inf"),
                (("--seed", "-1"), '--seed: must be an integer from 0 to 2^64 - 1, got "-1"' +
                 help_line),
                (("--tune", "fast"),
                 'tune "fast": must be "off", "quick" or "full", got no such name'),
                (("--optimizer", "adam"),
                 'optimizer "adam": must be one of "sgd", "adamw", got no such name'),
                (("--optimizer", "adamw", "--nesterov"),
                 'optimizer "adamw": must be given without --momentum and --nesterov, got one of '
                 "them"),
                (("--beta1", "0.5"),
                 'optimizer "sgd": must be given without --beta1, --beta2 and --eps, got one of '
                 "them"),
                (("--momentum", "0", "--nesterov"), "SGD: nesterov needs a positive momentum and no "
                 "dampening, got momentum 0 and dampening 0"),
                (("--momentum", "nan"), "SGD: momentum must not be negative, got nan"),
                (("--weight-decay", "-1"), "SGD: weight_decay must not be negative, got -1"),
                (("--optimizer", "adamw", "--beta2", "1"),
                 "AdamW: beta2 must be in [0, 1), got 1"),
                (("--schedule", "cosin"), 'schedule "cosin": must be one of "constant", "cosine", '
                 '"one-cycle", "step", got no such name'),
                (("--schedule-epochs", "-1"),
                 "trainer: schedule epochs must be from 0 to 1000000, got -1"),
                (("--warmup", "-0.5"), "trainer: warm-up epochs must be from 0 to 1000000, got -0.5"),
                (("--step-epochs", "0"), "trainer: step epochs must be from 1 to 1000000, got 0"),
                (("--gamma", "0"), "trainer: gamma must be finite and positive, got 0"),
                (("--clip-norm", "-1"), "trainer: clip_norm must be finite and not negative, got -1"),
                (("--label-smoothing", "1"), "trainer: label_smoothing must be in [0, 1), got 1"),
                (("--shift", "12"), "trainer: augment shift must be less than height and width, got "
                 "12 for images [1,12,12]"),
                (("--device", "gpu"), 'device "gpu": must be one of DEVICES, got no such device\n'
                 'help: did you mean "cpu"?'),
                (("--threads", "5000"),
                 "thread pool: threads must be from 1 to 1024, got 5000")):
            done = self.run_ingot(*TRAIN, *arguments)
            said = done.stderr
            if "--device" in arguments:  # those of this build
                said = said.replace(said[said.index("of ") + 3:said.index(", got")], "DEVICES")
            self.assertEqual((done.returncode, said, done.stdout), (2, f"error: {text}\n", ""),
                             arguments)
            self.assertFalse((self.folder / "runs").exists(), arguments)

    def test_of_models_and_data(self):
        for arguments, text in (
                (("--data", DATA), "train: --model must be given without --resume, got none"),
                (("--model", "lenet"), "train: --data must be given without --resume, got none"),
                (("--model", "lenett", "--data", DATA),
                 'model "lenett": must be a known model, got no such name\n'
                 'help: did you mean "lenet"?'),
                (("--model", "lenet", "--data", "digit"),
                 'data "digit": kind must be one of digits[:FILE], mnist:DIR, cifar:DIR, '
                 'folder:DIR, synthetic:SHAPE:CLASSES[:COUNT], got "digit"\nhelp: did you mean "digits"?'),
                (("--model", "lenet", "--data", "digits:no.png"),
                 f'file "{self.folder}/no.png": must be readable, got no such file or directory'),
                (("--model", "lenet", "--data", "mnist:no"),
                 f'mnist "{self.folder}/no": must be a folder, got nothing there\n'
                 "help: MNIST is the files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
                 "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte in one folder, each plain or "
                 "with the suffix .gz"),
                (("--resume", "nowhere"),
                 'checkpoint "nowhere": must hold state.json, got no such file')):
            self.expect_refusal(("train", *arguments), f"error: {text}\n")

    def test_images_too_small_for_the_model(self):
        done = self.run_ingot("train", "--model", "lenet", "--data", "synthetic:1x3x3:3:10")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("error: conv2d \"conv2d_1\": kernel must fit into the padded input, got kernel "
                      "5x5 on padded input 1x1\nhelp: pad the input, or use a smaller kernel or "
                      "dilation\nnote: made at ", done.stderr)
        self.assertTrue(done.stderr.endswith("(module conv2)\n"), done.stderr)

    def test_resuming_keeps_the_configuration(self):
        self.start("run", "--epochs", "1")
        for arguments, text in (
                (("--epochs", "2", "--lr", "3"), "learning_rate must stay 0.01, got 3.0"),
                (("--epochs", "2", "--model", "mlp784"), 'model must stay "lenet", got "mlp784"'),
                (("--epochs", "2", "--data", "synthetic:1x12x12:3:70"),
                 f'data must stay "{DATA}", got "synthetic:1x12x12:3:70"'),
                (("--epochs", "2", "--seed", "9"), "seed must stay 0, got 9"),
                ((), "epochs must be more than the 1 that are done, got 1\n"
                 "help: --epochs counts from the start of the run")):
            self.expect_refusal(("train", "--resume", "run", *arguments),
                                f'error: resume "run": {text}\n')


class Files(CommandTest):
    def write_mnist(self):
        images = idx(4, 14, 14, content=[i % 251 for i in range(784)])
        for name, content in zip(MNIST, (images, idx(4, content=[0, 9, 5, 1])) * 2):
            (self.folder / name).write_bytes(content)

    def expect_data_refusal(self, text):
        self.expect_refusal(("train", "--model", "lenet", "--data", "mnist:."),
                            "error: " + text + "\n", code=1)

    def test_damaged_mnist(self):
        self.write_mnist()
        images, labels = self.folder / MNIST[0], self.folder / MNIST[1]
        whole = images.read_bytes()
        images.write_bytes(whole[:100])
        self.expect_data_refusal(f'idx "{self.folder}/./{MNIST[0]}": u8[4,14,14] needs 784 bytes '
                                 "after the header, got 84")
        images.write_bytes(b"\0" * 20)
        self.expect_data_refusal(f'idx "{self.folder}/./{MNIST[0]}": must begin with 0x00000803 '
                                 "(u8, 3 dimensions), got 0x00000000")
        images.unlink()
        packed = gzip.compress(whole)
        (self.folder / f"{MNIST[0]}.gz").write_bytes(packed[:-20])
        self.expect_data_refusal(f'gzip "{self.folder}/./{MNIST[0]}.gz": must be undamaged, got the '
                                 "end of the file inside the stream")
        (self.folder / f"{MNIST[0]}.gz").write_bytes(packed)
        labels.write_bytes(idx(4, content=[0, 1, 10, 2]))
        self.expect_data_refusal('dataset "mnist train": labels must be from 0 to 9, got 10 at '
                                 "index 2\nnote: the labels are those of "
                                 f'"{self.folder}/./{MNIST[1]}"')

    def test_damaged_png(self):
        whole = png(16, 16)
        file = self.folder / "d.png"
        file.write_bytes(whole)
        train = ("train", "--model", "lenet", "--data", "digits:d.png")
        self.expect_refusal(train, f'error: digits "{file}": must be 2000 x 1000 pixels, got 16 x '
                            "16\n", code=1)
        file.write_bytes(whole[:40])
        self.expect_refusal(train, f'error: png "{file}": must be undamaged, got "read beyond end '
                            'of data"\n', code=1)
        file.write_bytes(b"GIF89a")
        self.expect_refusal(train, f'error: png "{file}": must begin with the PNG signature, got '
                            "other bytes\n", code=1)

    def test_images_of_another_size(self):
        self.start("run", "--epochs", "1")
        (self.folder / "i.png").write_bytes(png(16, 16))
        self.expect_refusal(("predict", "run", "i.png"), 'error: image "i.png": must be [1,12,12] as '
                            "the model's, got [1,16,16]\n", code=1)
        (self.folder / "i.png").write_bytes(png(12, 12))
        done = self.run_ingot("predict", "run", "i.png")
        self.assertRegex(done.stdout, r"^i\.png: class \d \(\d+\.\d %\)\n$")

    def test_damaged_checkpoints(self):
        self.start("run", "--epochs", "1")
        resume = ("train", "--resume", "run", "--epochs", "2")
        model = self.folder / "run" / "model.safetensors"
        whole = model.read_bytes()
        model.write_bytes(whole[:-5])
        done = self.run_ingot(*resume)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r'^error: checkpoint "run/checkpoint-1/model\.safetensors": '
                         r"must be the file that state\.json describes "
                         rf'\(\{{"bytes":{len(whole)},"fnv1a":"[0-9a-f]+"\}}\), got '
                         rf'\{{"bytes":{len(whole) - 5},"fnv1a":"[0-9a-f]+"\}}\n$')
        model.write_bytes(whole)
        state = self.folder / "run" / "state.json"
        text = state.read_text()
        state.write_text(text[:50])
        done = self.run_ingot(*resume)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertTrue(done.stderr.startswith('error: json "run/checkpoint-1/state.json": '),
                        done.stderr)
        state.write_text(text)
        self.train("--resume", "run", "--epochs", "2")

    def test_folders_that_cannot_be_written(self):
        (self.folder / "file").write_text("")
        for out, text in (("file", 'file "file": must be a folder, got not a directory'),
                          ("/proc/no", 'file "/proc/no": must be a folder, got no such file or '
                           "directory")):
            self.expect_refusal((*TRAIN, "--out", out), f"error: {text}\n", code=1)

    def test_unreadable_files(self):
        if os.geteuid() == 0:
            self.skipTest("root reads every file")
        self.write_mnist()
        (self.folder / MNIST[2]).chmod(0)
        self.expect_data_refusal(f'file "{self.folder}/./{MNIST[2]}": must be readable, got '
                                 "permission denied")

    def test_full_disk(self):
        """A limit on the size of files fails as a full disk does; the old checkpoint stays."""
        self.start("run", "--epochs", "1")
        before = self.files("run")

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

        done = self.run_ingot("train", "--resume", "run", "--epochs", "2", preexec_fn=limit)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.splitlines()[-1], 'error: file "run/checkpoint-2/'
                         'model.safetensors": must be writable, got file too large')
        self.assertEqual(self.files("run"), before)
        self.assertEqual(sorted(path.name for path in (self.folder / "run").iterdir()),
                         ["checkpoint-1", "current", "model.safetensors", "optimizer.safetensors",
                          "state.json"])
        self.train("--resume", "run", "--epochs", "2")

    def test_a_copy_without_links_is_read(self):
        self.start("run", "--epochs", "1")
        copy = self.folder / "copy"
        copy.mkdir()
        for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
            shutil.copyfile(self.folder / "run" / name, copy / name)
        self.train("--resume", "copy", "--epochs", "2")


class Numbers(CommandTest):
    def test_a_run_that_explodes(self):
        done = self.run_ingot(*TRAIN, "--lr", "1e30", "--out", "run", "--epochs", "3")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'\nerror: \w+ "[\w.]+": result must be finite, got -?(inf|nan) at '
                         r"element \d+ of f32\[[0-9,]+\]\nnote: in step \d+; no variable was "
                         r"changed\nnote: made at \S+ in \w+( \(module \w+\))?\n$")
        self.assertFalse((self.folder / "run" / "state.json").exists())


if __name__ == "__main__":
    main()
