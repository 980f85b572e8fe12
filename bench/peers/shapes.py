"""The workloads' shapes, shared by all peers: name -> (image shape [C,H,W] or [F], classes, batch)."""

SHAPES = {
    "seed-cnn": ((3, 32, 32), 2, 32),
    "mlp784": ((784,), 10, 32),
    "gometal-cnn": ((3, 32, 32), 10, 32),
    "resnet18-cifar": ((3, 32, 32), 10, 32),
    "resnet50": ((3, 224, 224), 1000, 8),
}
