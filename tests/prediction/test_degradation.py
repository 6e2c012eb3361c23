"""An image as a telescope would see it, and a pair of files to evaluate with."""

import numpy as np
import pytest
from astropy.io import fits as afits

import enhance_np
from enhance_np.cli import main
from enhance_np.observation import fits
from enhance_np.observation.telescope import foreign_instrument
from enhance_np.optics.degrade import HMI, degrade
from enhance_np.prediction.degradation import degrade_file

SCALE = 0.1
CARDS = {
    "TELESCOP": "HINODE", "INSTRUME": "SOT/SP", "BUNIT": "Ic", "CONTENT": "CONTINUUM INTENSITY",
    "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
    "CRPIX1": 3.0, "CRPIX2": 5.0, "CRVAL1": 100.0, "CRVAL2": -50.0, "CDELT1": SCALE,
    "CDELT2": SCALE,
}  # fmt: skip


@pytest.fixture
def scene(rng):
    return (1 + 0.1 * rng.standard_normal((200, 230))).astype(np.float32)


def hdu(data, **cards):
    return afits.PrimaryHDU(data, afits.Header(CARDS | cards))


def test_is_the_image_of_a_training_pair(scene):
    low, _ = degrade(scene, SCALE)
    y = enhance_np.degrade(hdu(scene))
    np.testing.assert_array_equal(y.data, low)
    assert y.data.shape == (39, 45)  # 20.0 and 23.0 arcsec hold 39.66 and 45.6 pixels
    assert (y.header["SEENBY"], foreign_instrument(y.header)) == ("HMI", None)
    np.testing.assert_array_equal(enhance_np.degrade(scene, pixel_scale=SCALE), low)


def test_another_telescope(scene):
    """A smaller aperture leaves less contrast; the mean stays."""
    contrast = []
    for aperture in (0.5, 0.25, 0.125):
        optics = enhance_np.Optics("airy", aperture=aperture, hmi_scale=0.2)
        y = enhance_np.degrade(hdu(scene), optics=optics)
        assert y.data.shape == (100, 115)
        assert y.data.mean() == pytest.approx(scene.mean(), rel=1e-3)
        assert y.header["SEENBY"] == f"airy, {aperture:g} m, 0.2 arcsec"
        assert "SEENBY" in foreign_instrument(y.header)
        contrast.append(y.data.std())
    assert contrast[0] > 1.5 * contrast[1] > 2.2 * contrast[2]


def test_missing_pixels(scene):
    scene[50:53, 60] = np.nan
    y = enhance_np.degrade(hdu(scene)).data
    wanted = np.zeros((39, 45), bool)
    wanted[9:11, 11:13] = True  # 5.0 to 5.3 and 6.0 to 6.1 arcsec, over 0.504302
    np.testing.assert_array_equal(np.isnan(y), wanted)


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"CDELT1": 0.2}, "needs square pixels of known size .*, got 0.2 x 0.1 in"),
        ({"CTYPE1": "X", "CTYPE2": "Y"}, "got none in"),
        ({"CDELT1": 0.001, "CDELT2": 0.001}, "must hold one pixel of 0.504302 arcsec"),
    ],
)
def test_refuses(scene, cards, words):
    with pytest.raises(ValueError, match=words):
        enhance_np.degrade(hdu(scene, **cards))


def test_coarse_pixels_are_warned_of(scene, caplog):
    enhance_np.degrade(hdu(scene, CDELT1=0.6, CDELT2=0.6))
    assert "has pixels of 0.6 arcsec, larger than the telescope's 0.504" in caplog.text


def test_a_pair_of_files(scene, tmp_path, capsys):
    """`evaluate` takes the pair as it is: equal edges, twice the pixels."""
    source, low, truth = (tmp_path / name for name in ("a.fits", "low.fits", "truth.fits"))
    hdu(scene).writeto(source)
    degrade_file(source, low, truth=truth, noise=0.01, seed=4)
    want_low, want_truth = degrade(scene, SCALE)
    got_low, got_truth = (fits.read(path) for path in (low, truth))
    np.testing.assert_array_equal(got_truth.data, want_truth)
    noise = got_low.data - want_low
    assert noise.std() == pytest.approx(0.01, rel=0.05)
    assert "noise=0.01" in "".join(got_low.header["HISTORY"])
    assert got_truth.header["CDELT1"] == pytest.approx(HMI.hmi_scale / 2)
    assert got_truth.header["SEENBY"].startswith("airy, 0.28 m")
    assert run("evaluate", truth, "--truth", truth, "--input", low) is None
    assert "K * out, consistent" in capsys.readouterr().out


def run(*words):
    """The exit status, or the line of the error."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    return ended.value.code


def test_command(scene, tmp_path):
    source, low = tmp_path / "a.fits", tmp_path / "low.fits"
    hdu(scene).writeto(source)
    optics = ("--psf", "airy", "--aperture", 0.5, "--hmi-scale", 0.2)
    assert run("degrade", "--fits", source, low, *optics) is None
    wanted = enhance_np.degrade(
        str(source), optics=enhance_np.Optics("airy", aperture=0.5, hmi_scale=0.2)
    )
    np.testing.assert_array_equal(fits.read(low).data, wanted.data)
    assert afits.getheader(low)["CRPIX1"] == wanted.header["CRPIX1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--fits", "a.fits", "b.fits", "--out", "c.h5"], "needs either --fits or --out, got both"),
        (["x.fits", "--fits", "a.fits", "b.fits"], "needs either --fits or SIM, got both"),
        (["x.fits", "--out", "c.h5", "--truth", "t.fits"], "--truth needs --fits, got none"),
        (["--noise", "1", "--out", "c.h5"], "--noise needs --fits, got none"),
        (["x.fits"], "needs --out for pairs, or --fits for an image, got neither"),
        (["--fits", "a.fits", "b.fits", "--noise", "-1"], "noise must be 0 or more, got noise=-1"),
        (["--fits", "a.fits", "b.fits", "--truth", "b.fits"], "the truth must not be the output"),
        (["--fits", "a.fits", "a.fits"], "the output must not be the input"),
        (["--fits", "a.fits", "b.txt"], "must end in .fits"),
    ],
)
def test_command_refuses(scene, tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    hdu(scene).writeto("a.fits")
    assert says in run("degrade", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fits"]


def test_what_was_enhanced_before_is_not_any_more(scene, tmp_path):
    source = hdu(scene)
    for key in ("ENHMODEL", "ENHSCALE", "ENHFLAT"):
        source.header[key] = 1.0
    low = enhance_np.degrade(source, optics=enhance_np.Optics("yeo"), pixel_scale=0.1)
    assert [key for key in low.header if key.startswith("ENH")] == ["ENHFLAT"]
    assert low.header.comments["SEENBY"] == "degraded to this telescope"
