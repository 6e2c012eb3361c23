"""The page's joined operations for a peer that has the single ones."""

from types import SimpleNamespace


def joined(**ops) -> SimpleNamespace:
    """`ops`, the forward pass's single operations by name, and what enhance_np.layers.joined has.

    batchnorm may be missing where there is no training.
    """
    single = SimpleNamespace(**ops)

    def of(activation):
        def act(h):
            return getattr(single, activation)(h)[0]

        return {
            f"batchnorm_{activation}": lambda h, *a: (act(single.batchnorm(h, *a)[0]), None),
            f"{activation}_conv": lambda h, w, b: single.pad_conv(act(h), w, b),
        }

    def batchnorm_add(h, skip, *a):
        return single.add(single.batchnorm(h, *a)[0], skip), None

    return SimpleNamespace(**ops, **of("relu"), **of("elu"), batchnorm_add=batchnorm_add)
