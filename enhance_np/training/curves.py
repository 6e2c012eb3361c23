"""The picture beside the weights: loss against epoch."""

from .._figures import png, require_matplotlib


def loss_curves(rows) -> bytes:
    """A PNG of training and validation loss against the epoch, on a logarithmic axis.

    rows : of the training log, with "epoch", "loss" and "val_loss".
    Raises ImportError without matplotlib.
    """
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    epochs = [row["epoch"] for row in rows]
    for key, label in (("loss", "training"), ("val_loss", "validation")):
        axes.semilogy(epochs, [row[key] for row in rows], marker=".", label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="mean squared error")
    axes.legend()
    return png(figure)
