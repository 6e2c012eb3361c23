"""ONNX Runtime, as a peer."""

import onnxruntime

from bench.speed.peers.onnx_graph import onnx_graph


def predictors(weights, x, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        onnx_graph(weights, x.shape), options, providers=["CPUExecutionProvider"]
    )
    return {"ONNX Runtime": lambda: session.run(None, {"x": x[None, None]})[0][0, 0]}
