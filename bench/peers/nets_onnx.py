"""ResNets as ONNX models with random weights and running statistics, as an exporter would write
them: convolutions, batch norms, adds and ReLUs apart, left for the runtime to fuse."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0
        self.random = np.random.default_rng(1)

    def weight(self, values):
        self.count += 1
        name = f"w{self.count}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(self, op, inputs, **attributes):
        self.count += 1
        name = f"{op.lower()}{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv_bn(self, x, channels_in, channels, kernel, stride, padding):
        scale = np.sqrt(2 / (channels_in * kernel * kernel))
        w = self.random.normal(0, scale, (channels, channels_in, kernel, kernel))
        y = self.node("Conv", [x, self.weight(w)], kernel_shape=[kernel] * 2, strides=[stride] * 2,
                      pads=[padding] * 4)
        gamma, var = self.random.uniform(0.5, 1.5, (2, channels))
        beta, mean = self.random.normal(0, 0.1, (2, channels))
        return self.node("BatchNormalization", [y] + [self.weight(v) for v in
                                                      (gamma, beta, mean, var)], epsilon=1e-5)

    def relu(self, x):
        return self.node("Relu", [x])


def basic_block(net, x, channels_in, channels, stride):
    y = net.relu(net.conv_bn(x, channels_in, channels, 3, stride, 1))
    y = net.conv_bn(y, channels, channels, 3, 1, 1)
    if stride != 1 or channels_in != channels:
        x = net.conv_bn(x, channels_in, channels, 1, stride, 0)
    return net.relu(net.node("Add", [y, x]))


def resnet18_cifar(net, x):
    x = net.relu(net.conv_bn(x, 3, 64, 3, 1, 1))
    channels_in = 64
    for stage in range(4):
        for index in range(2):
            x = basic_block(net, x, channels_in, 64 << stage, 2 if stage and not index else 1)
            channels_in = 64 << stage
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x])])
    w = net.weight(net.random.normal(0, 0.05, (10, 512)))
    return net.node("Gemm", [x, w, net.weight(np.zeros(10))], transB=1)


MODELS = {"resnet18-cifar": (resnet18_cifar, (3, 32, 32), 10)}


def model_bytes(name, batch):
    make, shape, classes = MODELS[name]
    net = Builder()
    logits = make(net, "input")
    graph = helper.make_graph(
        net.nodes, name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, [batch, classes])], net.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString()
