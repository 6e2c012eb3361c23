"""The sizes that define a network, and the allowed values of some options."""

from dataclasses import dataclass

TYPES = ("intensity", "blos")  # types of image: continuum, line-of-sight field
# statistics of batch norm: of the batch, or the stored ones
MODES = ("training", "prediction")
MODELS = ("default", "small")  # shipped networks of each type
DEVICES = ("auto", "cpu", "gpu")
ACTIVATIONS = ("relu", "elu")
# pairs of a file, and scenes of each synthetic source, that calibrate takes
PAIRS, SCENES = 400, 8
NOISE = {"intensity": 1e-3, "blos": 1e-2}  # of HMI, in Ic and kG; the paper, section 3.3


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of an Enhance network (Díaz Baso & Asensio Ramos 2018, section 3).

    depth : number of residual blocks, 0 or more. The paper's network has 5, its small one 1.
    filters : channels of every hidden layer, C. The paper's network has 64, its small one 32.
    activation : "relu" or "elu".
    refine_filters : channels of the convolution after the upsampling; None means `filters`.
        The original's `keepsize_256` has 4 * filters.
    Raises ValueError for other values.
    """

    depth: int = 5
    filters: int = 64
    activation: str = "relu"
    refine_filters: int | None = None

    def __post_init__(self):
        for name in ("depth", "filters", "refine_filters"):
            value, least = getattr(self, name), 0 if name == "depth" else 1
            if name == "refine_filters" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(
                    f"NetworkConfig: {name} must be an integer >= {least}, got {value!r}"
                )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"NetworkConfig: activation must be one of {ACTIVATIONS}, got {self.activation!r}"
            )

    def __str__(self):
        return f"{self.depth} block{'s' * (self.depth != 1)}, {self.filters} filters"

    @property
    def refine(self) -> int:
        """Channels of the refine convolution, resolved."""
        return self.filters if self.refine_filters is None else self.refine_filters


DEFAULT = NetworkConfig()
SMALL = NetworkConfig(depth=1, filters=32)
