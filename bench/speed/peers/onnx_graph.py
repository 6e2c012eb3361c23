"""The network as an ONNX graph, for ONNX Runtime and OpenVINO."""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from enhance_np import network
from enhance_np.inspection.forward_ops import forward_ops
from enhance_np.layers.batchnorm import EPS


def onnx_graph(weights, shape: tuple[int, int]) -> bytes:
    """The graph for images of `shape`, NCHW: network.forward is run on names instead of arrays."""
    nodes, constants = [], []

    def node(kind, *inputs, **attributes):
        output = f"h{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(array):
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def pad_conv(h, w, b):
        p = len(w) // 2
        if p:
            h = node("Pad", h, constant(np.array([0, 0, p, p] * 2, np.int64)), mode="reflect")
        return node("Conv", h, constant(w.transpose(3, 2, 0, 1)), constant(b))

    def batchnorm(h, gamma, beta, moving):
        statistics = map(constant, (gamma, beta, *moving))
        return node("BatchNormalization", h, *statistics, epsilon=EPS)

    def upsample_conv(h, w, b):
        nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        twice = constant(np.array([1, 1, 2, 2], np.float32))
        return pad_conv(node("Resize", h, "", twice, mode="nearest", **nearest), w, b)

    ops = forward_ops(
        pad_conv=pad_conv,
        batchnorm=batchnorm,
        relu=lambda h: node("Relu", h),
        elu=lambda h: node("Elu", h),
        add=lambda x, y: node("Add", x, y),
        upsample_conv=upsample_conv,
    )
    y, _ = network.forward(weights.params, "x", weights.config, ops, weights.moving)
    h, w = shape
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *size])]
        for name, size in (("x", (h, w)), (y, (2 * h, 2 * w)))
    ]
    graph = helper.make_graph(nodes, "enhance", *ends, constants)
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()
