"""The WebGPU engine of docs/try, on a GPU that Chromium imitates on the CPU (SwiftShader)."""

import pytest
from browser import launched, page
from try_page import enhanced, field, opened, same_file, write

from enhance_np.prediction.file import enhance_file

# the page declines an imitated GPU, which is slower than WebAssembly; the tests take it
AS_REAL = (
    """Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", {get: () => false})"""
)
# a GPU whose sums are wrong
WRONG = """GPUDevice.prototype.createShaderModule = ((real) => function (asked) {
  return real.call(this, { code: asked.code.replace("var sum = a2[id.z]", "var sum = a2[0]") });
})(GPUDevice.prototype.createShaderModule);"""
SHAPES = [(2, 2, 3, 1, 32), (5, 7, 1, 32, 1), (9, 6, 3, 32, 32), (5, 7, 3, 3, 5), (17, 8, 3, 4, 6)]


@pytest.fixture(scope="module")
def chromium():
    with launched("--enable-unsafe-webgpu") as browser:
        with page(browser) as one:
            opened(one)
            adapter = "async () => Boolean(await navigator.gpu?.requestAdapter())"
            if not one.evaluate(adapter):
                pytest.skip(
                    "needs a Chromium with WebGPU: it offers no adapter, not even SwiftShader"
                )
        yield browser


def test_operations_are_those_of_the_engine(chromium):
    with page(chromium) as shown:
        found = opened(shown).evaluate(
            """async (shapes) => {
              const device = await (await navigator.gpu.requestAdapter()).requestDevice();
              const ops = webgpu.operations(device);
              const random = (n) => Float32Array.from({ length: n }, () => Math.random() - 0.5);
              const errors = {};
              for (const [h, w, k, cin, cout] of shapes) {
                const x = { data: random(h * w * cin), h, w, c: cin };
                const kernel = { data: random(k * k * cin * cout), k, cin, cout };
                const statistics = { mean: random(cin), var: random(cin).map(Math.abs) };
                const calls = [
                  ["padConv", kernel, random(cout)],
                  ["batchnorm", random(cin), random(cin), statistics],
                  ["upsample"], ["relu"], ["elu"],
                ];
                const check = async (name, ours, wanted) => {
                  const { data, h, w, c } = await ops.got(ours);
                  const same = [h, w, c].join() === [wanted.h, wanted.w, wanted.c].join();
                  const largest = (all) => Math.max(...all.map(Math.abs));
                  const error = largest(data.map((v, n) => v - wanted.data[n]));
                  const relative = same ? error / largest(wanted.data) : Infinity;
                  errors[name] = Math.max(errors[name] || 0, relative);
                };
                for (const [name, ...rest] of calls) {
                  const plain = engine[name] || engine.activations[name].f;
                  await check(name, ops[name](ops.put(x), ...rest), plain(x, ...rest));
                }
                const y = { ...x, data: random(x.data.length) };
                await check("add", ops.add(ops.put(x), ops.put(y)), engine.add(x, y));
              }
              return errors;
            }""",
            SHAPES,
        )
    assert set(found) == {"padConv", "batchnorm", "upsample", "relu", "elu", "add"}
    assert found["upsample"] == found["relu"] == 0
    assert all(error <= 1e-5 for error in found.values()), found


def test_the_saved_file_is_that_of_predict(chromium, tmp_path, rng):
    """Of several tiles, whose halos are the reflection only at the edges of the image."""
    source = write(tmp_path / "in.fits", field(rng, (100, 23)), BUNIT="G")
    with page(chromium) as shown:
        shown.add_init_script(AS_REAL)
        found = enhanced(opened(shown), source, tmp_path)
        assert "WebGPU" in shown.locator("#facts").text_content()
    enhance_file(source, tmp_path / "out.fits", model="small", device="cpu")
    same_file(found, tmp_path / "out.fits")


@pytest.mark.parametrize("scripts", [[], [AS_REAL, WRONG]], ids=["imitated", "wrong"])
def test_other_engines_replace_a_gpu_that_is_slow_or_wrong(chromium, tmp_path, rng, scripts):
    source = write(tmp_path / "in.fits", field(rng, (30, 23)), BUNIT="G")
    with page(chromium) as shown:
        for script in scripts:
            shown.add_init_script(script)
        found = enhanced(opened(shown), source, tmp_path)
        assert "WebAssembly SIMD, 1 worker" in shown.locator("#facts").text_content()
    enhance_file(source, tmp_path / "out.fits", model="small", device="cpu")
    same_file(found, tmp_path / "out.fits")
