"""The joined operations of network.py for a peer that has only the single ones."""

from types import SimpleNamespace


def joined(**ops) -> SimpleNamespace:
    """`ops` (single operations of the forward pass) with those of enhance_np.layers.joined."""
    single = SimpleNamespace(**ops)

    def of(activation):
        def act(h):
            return getattr(single, activation)(h)[0]

        return {
            f"batchnorm_{activation}": lambda *a, **b: (act(single.batchnorm(*a, **b)[0]), None),
            f"{activation}_conv": lambda h, w, b: single.pad_conv(act(h), w, b),
        }

    def batchnorm_add(h, skip, *a, **b):
        return single.add(single.batchnorm(h, *a, **b)[0], skip), None

    return SimpleNamespace(**ops, **of("relu"), **of("elu"), batchnorm_add=batchnorm_add)
