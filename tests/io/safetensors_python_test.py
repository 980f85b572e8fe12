"""The other side of safetensors_python_test.cpp: the Python package reads and writes the files.

safetensors_python_test.py read FILE   check the file that the C++ test wrote
safetensors_python_test.py write FILE  write the file that the C++ test checks
"""

import sys

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool")


def expected(numpy):
    tensors = {name: (numpy.arange(24).reshape(2, 3, 4) % 7).astype(name) for name in DTYPES}
    tensors["scalar"] = numpy.array(2.5, dtype="float32")
    tensors["empty"] = numpy.zeros((0, 3), dtype="float32")
    return tensors


def main():
    command = sys.argv[1]
    import numpy
    import safetensors
    from safetensors import numpy as safetensors_numpy

    if command == "write":
        safetensors_numpy.save_file(expected(numpy), sys.argv[2], metadata={"epoch": "3"})
    elif command == "read":
        with safetensors.safe_open(sys.argv[2], framework="np") as file:
            assert file.metadata() == {"epoch": "3", "name": "\u00e4"}, file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys() if name != "bfloat16"}
            assert file.get_slice("bfloat16").get_dtype() == "BF16"
        wanted = expected(numpy)
        assert tensors.keys() == wanted.keys(), tensors.keys()
        for name, tensor in wanted.items():
            assert tensors[name].dtype == tensor.dtype, name
            assert tensors[name].shape == tensor.shape, name
            assert (tensors[name] == tensor).all(), name


main()
