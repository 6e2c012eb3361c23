"""The report of bench.gpu.on_card as Markdown."""

from bench.gpu import ladder
from bench.shared import table


def text(found: dict) -> str:
    """The report as Markdown."""
    card, top = found["machine"], found.get("ceilings", {})
    wrong = [name for name, case in found.get("cases", {}).items() if not case["right"]]
    lines = [
        f"**{card['name']}**, driver {card['driver']}, NVRTC {card['nvrtc']}, CuPy {card['cupy']}; "
        f"enhance_np {card['enhance_np']}.",
    ]
    if top:
        lines.append(
            f"Measured ceilings: {top['flops'] / 1e12:.1f} TFLOP/s of multiply-adds in registers, "
            f"{top['bytes_per_second'] / 1e9:,.0f} GB/s for a copy."
        )
    right = "all results right" if found["passed"] else "NOT all results right"
    lines.append(
        f"{len(found.get('cases', {})) - len(wrong)} of {len(found.get('cases', {}))} cases of the "
        f"kernels right; {right}{': ' + ', '.join(wrong) if wrong else ''}."
    )
    if "graphs" in found:
        recorded = found["graphs"]["recorded"]
        lines.append(
            "CUDA graphs of a training step were recorded."
            if recorded
            else "CUDA graphs of a training step could not be recorded."
        )
    peers = _fastest(found.get("torch", {}))
    rows = []
    for name, took in found.get("times", {}).items():
        rate = took["flop"] / took["device"]
        host = f"{1e3 * took['host']:.3f} ms" if "host" in took else ""
        share = f"{rate / top['flops']:.2f}" if top else ""
        cells = [f"{1e3 * took['device']:.3f} ms", host, f"{rate / 1e12:.2f}", share]
        for tf32 in (False, True):
            way, best = peers.get((name, tf32), (None, None))
            cells.append(f"{1e3 * best:.3f} ms ({best / took['device']:.2f}), {way}" if way else "")
        rows.append([name, *cells])
    header = ["what", "time", "of the host", "TFLOP/s", "of the ceiling"]
    header += ["fastest PyTorch, float32 (over ours)", "with TF32"]
    lines.append(table.markdown(header, rows))
    if "ladder times" in found:
        rungs = found["ladder times"]
        shapes = [s for s in ladder.SHAPES if ladder.text(s) in rungs]
        cudnn = {
            shape: peers[f"{shape}: y", False][1]
            for shape in rungs
            if (f"{shape}: y", False) in peers
        }
        lines.append(ladder.markdown(rungs, cudnn, shapes))
    if found["errors"] or found.get("left_out"):
        lines.append(
            "Not measured: "
            + "; ".join(
                [*found.get("left_out", []), *(f"{k} ({v})" for k, v in found["errors"].items())]
            )
        )
    return "\n\n".join(lines)


def _fastest(torch_found) -> dict[tuple[str, bool], tuple[str, float]]:
    """{(our name of it, whether with TF32): (fastest way, seconds)}."""
    found = {}

    def enter(name, ways, start=""):
        for way, took in ways.items():
            if isinstance(took, float) and way.startswith(start):
                key = name, "TF32" in way
                if key not in found or took < found[key][1]:
                    found[key] = way.removeprefix(start), took

    for sides, ways in torch_found.get("step", {}).items():
        enter(f"training step, {sides}", ways)
    for ways in [torch_found.get("compiled step", {})]:
        first = next(iter(torch_found.get("step", {})), "")
        enter(f"training step, {first}", ways)
    for sides, ways in torch_found.get("prediction", {}).items():
        enter(f"prediction, {sides}", ways)
    for shape, ways in torch_found.get("convolution", {}).items():
        enter(f"{shape}: y", ways, "y, ")
        enter(f"{shape}: dW", ways, "dW, ")
    return found
