"""OpenVINO, as a peer: set to float32, because it may choose bfloat16 by default."""

import openvino

from bench.speed.peers.onnx_graph import onnx_graph

F32 = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


def predictors(weights, x, threads):
    core = openvino.Core()
    model = core.read_model(onnx_graph(weights, x.shape))
    compiled = core.compile_model(model, "CPU", F32 | {"INFERENCE_NUM_THREADS": threads})
    check_precision(compiled)
    request = compiled.create_infer_request()

    def predict():
        found = request.infer({0: x[None, None]}, share_inputs=True, share_outputs=True)
        return found[0][0, 0]

    return {"OpenVINO f32": predict}


def check_precision(compiled) -> None:
    """Raises RuntimeError unless every convolution runs in float32: the hint is only a hint."""
    convolutions = {}
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        if "Convolution" in info["layerType"].astype(str):
            convolutions[node.get_friendly_name()] = info["runtimePrecision"].astype(str)
    if not convolutions or set(convolutions.values()) != {"f32"}:
        raise RuntimeError(f"OpenVINO: every convolution must run in f32, got {convolutions}")
