from enhance_np.training.curves import loss_curves


def test_loss_curves():
    rows = [{"epoch": i, "loss": 0.1 / (i + 1), "val_loss": 0.2 / (i + 1)} for i in range(3)]
    assert loss_curves(rows)[:4] == b"\x89PNG"
