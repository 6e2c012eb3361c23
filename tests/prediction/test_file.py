"""Files to files: checks before the work, and the state of the folder after an error."""

import hashlib
import os

import numpy as np
import pytest
from astropy.io import fits as afits
from astropy.wcs import WCS

from enhance_np import models, params, predict, weights
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.observation import disc
from enhance_np.observation.normalise import Norm
from enhance_np.optics.degrade import HMI, Optics
from enhance_np.prediction import picture
from enhance_np.prediction.array import apply
from enhance_np.prediction.file import OPTICS_CARDS, enhance_file
from enhance_np.prediction.reblur import residual_map

CONFIG = NetworkConfig(1, 4)
CPU = select("cpu")


@pytest.fixture
def tiny(tmp_path):
    """Weights without a type, like files of Keras."""
    path = tmp_path / "tiny.h5"
    weights.save(path, weights.Weights(CONFIG, *params.initial(CONFIG, 0)))
    return path


@pytest.fixture
def image(tmp_path):
    return image_file(tmp_path / "in.fits")


def image_file(path, level=1.0, sigma=0.04, **cards):
    data = level + sigma * np.random.default_rng(0).standard_normal((20, 24))
    afits.writeto(path, data.astype(np.float32), afits.Header(cards))
    return path


def test_plot_and_output_appear_together(image, tiny, tmp_path):
    pytest.importorskip("matplotlib")
    out, png = tmp_path / "out.fits", tmp_path / "out.png"
    enhance_file(image, out, weights=tiny, device="cpu", plot=png)
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert afits.getdata(out).shape == (40, 48)


def test_header_names_the_weights_by_content(image, tiny, tmp_path):
    for given, used in ((tiny, tiny), (None, models.path("intensity", "small"))):
        out = tmp_path / f"by_{used.stem}.fits"
        enhance_file(image, out, weights=given, model="small", device="cpu")
        found = hashlib.sha256(used.read_bytes()).hexdigest()
        assert afits.getheader(out)["ENHWGT"] == found[:16]


@pytest.mark.parametrize("fails", ["plot", "write"])
def test_neither_appears_if_one_fails(image, tiny, tmp_path, monkeypatch, fails):
    pytest.importorskip("matplotlib")

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    if fails == "plot":
        monkeypatch.setattr(picture, "side_by_side", fail)
    else:
        monkeypatch.setattr(afits.HDUList, "writeto", fail)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OSError, match="No space"):
        enhance_file(
            image, tmp_path / "o.fits", weights=tiny, device="cpu", plot=tmp_path / "o.png"
        )
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("clash", ["exists", "output", "input"])
def test_plot_never_replaces_by_mistake(image, tiny, tmp_path, clash):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out.fits"
    png = {"exists": tmp_path / "mine.png", "output": out, "input": image}[clash]
    (tmp_path / "mine.png").write_text("mine")
    before = image.read_bytes()
    with pytest.raises(OSError, match="must not"):
        enhance_file(image, out, weights=tiny, plot=png)
    assert (tmp_path / "mine.png").read_text() == "mine"
    assert image.read_bytes() == before
    assert not out.exists()


def test_a_plot_is_a_png(image, tiny, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.png, got .*a\.jpg"):
        enhance_file(image, tmp_path / "out.fits", weights=tiny, plot=tmp_path / "a.jpg")
    assert not list(tmp_path.glob("a*")) + list(tmp_path.glob("out*"))


def test_type_is_the_users_where_the_file_contradicts_itself(tmp_path, tiny):
    """These weights have no type, so only the file gives it."""
    both = afits.Header({"CONTENT": "CONTINUUM INTENSITY", "BUNIT": "Gauss"})
    path = tmp_path / "conflict.fits"
    afits.writeto(path, np.ones((8, 8), np.float32), both)
    out = tmp_path / "out.fits"
    with pytest.raises(ValueError, match="cannot tell intensity"):
        enhance_file(path, out, weights=tiny)
    enhance_file(path, out, type="intensity", weights=tiny)  # the user decides
    known = image_file(tmp_path / "known.fits", CONTENT="CONTINUUM INTENSITY")
    with pytest.raises(ValueError, match="against CONTENT='CONTINUUM INTENSITY'"):
        enhance_file(known, out, type="blos", weights=tiny, overwrite=True)


@pytest.mark.parametrize(("unit", "in_gauss"), [("kG", 1e3), ("mT", 10.0), ("T", 1e4)])
def test_fields_keep_their_unit(tmp_path, tiny, unit, in_gauss):
    """The network gets the same field in kG, whatever the unit of the file."""
    field = 300 * np.random.default_rng(0).standard_normal((20, 24))
    outputs = {}
    for name, factor in (("Gauss", 1.0), (unit, in_gauss)):
        path, out = tmp_path / f"{name}.fits", tmp_path / f"out_{name}.fits"
        afits.writeto(path, field / factor, afits.Header({"BUNIT": name}))
        result = enhance_file(path, out, weights=tiny, device="cpu")
        assert (result.type, result.norm) == ("blos", 1000 / factor)
        assert afits.getheader(out)["BUNIT"] == name
        outputs[name] = factor * afits.getdata(out)
    # far below the field, and far above the rounding of float32 in one small network
    tolerance = 1e-5 * np.abs(outputs["Gauss"]).max()
    np.testing.assert_allclose(outputs[unit], outputs["Gauss"], rtol=0, atol=tolerance)


def test_weights_that_ship_are_for_hmi(tmp_path, tiny, caplog):
    mdi = image_file(tmp_path / "mdi.fits", TELESCOP="SOHO", INSTRUME="MDI", BUNIT="DN/s")
    out = tmp_path / "out.fits"
    with pytest.raises(ValueError, match=r"^require_hmi: .*got TELESCOP='SOHO', INSTRUME='MDI'"):
        enhance_file(mdi, out)
    assert not out.exists()
    enhance_file(mdi, out, weights=tiny, device="cpu", norm=1.0)
    assert not caplog.messages


def test_field_of_one_sign_asks_for_its_type(tmp_path, tiny):
    umbra = image_file(tmp_path / "umbra.fits", level=2000, sigma=200)
    with pytest.raises(ValueError, match="cannot tell intensity"):
        enhance_file(umbra, tmp_path / "out.fits", weights=tiny)
    result = enhance_file(umbra, tmp_path / "out.fits", type="blos", weights=tiny, device="cpu")
    assert result.norm == 1000


def test_header_is_checked_before_the_work(tmp_path, tiny):
    bad = image_file(tmp_path / "bad.fits", CRPIX1="abc")
    worked = []
    with pytest.raises(ValueError, match="CRPIX1 must be a number"):
        enhance_file(
            bad, tmp_path / "o.fits", weights=tiny, progress=lambda *done: worked.append(done)
        )
    assert not worked


def test_wrong_pixel_scale_is_said(tmp_path, tiny, caplog):
    coarse = image_file(tmp_path / "coarse.fits", CDELT1=2.0, CDELT2=2.0, CUNIT1="arcsec")
    enhance_file(coarse, tmp_path / "o.fits", weights=tiny, device="cpu")
    assert "do not trust the result" in caplog.text
    caplog.clear()
    hmi = image_file(tmp_path / "hmi.fits", CDELT1=-0.504, CDELT2=0.504, CUNIT1="arcsec")
    enhance_file(hmi, tmp_path / "p.fits", weights=tiny, device="cpu")
    assert "trust" not in caplog.text


def test_leftovers_of_a_killed_run_do_not_matter(image, tiny, tmp_path):
    (tmp_path / ".part.0123abcd.out.fits").write_text("half")
    enhance_file(image, tmp_path / "out.fits", weights=tiny, device="cpu")
    assert afits.getdata(tmp_path / "out.fits").shape == (40, 48)


@pytest.mark.parametrize("name", ["", "x" * 251 + ".fits"])
def test_impossible_names(image, tiny, tmp_path, name):
    with pytest.raises(OSError, match="check_output|File name too long"):
        enhance_file(image, os.path.join(tmp_path, name), weights=tiny)
    assert sorted(os.listdir(tmp_path)) == ["in.fits", "tiny.h5"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_not_waited_for(tiny, tmp_path):
    os.mkfifo(tmp_path / "pipe.fits")
    with pytest.raises(OSError, match="needs a file"):
        enhance_file(tmp_path / "pipe.fits", tmp_path / "out.fits", weights=tiny)


def test_activation_of_weights_that_do_not_say(image, tmp_path):
    import h5py

    config = NetworkConfig(1, 4, "elu")
    path = tmp_path / "elu.h5"
    weights.save(path, weights.Weights(config, *params.initial(config, 0)))
    told = enhance_file(image, tmp_path / "a.fits", weights=path, device="cpu").output
    with h5py.File(path, "r+") as file:
        del file.attrs[weights.OWN_ATTRIBUTE]
    given = enhance_file(
        image, tmp_path / "b.fits", weights=path, activation="elu", device="cpu"
    ).output
    np.testing.assert_array_equal(told, given)
    assumed = enhance_file(image, tmp_path / "c.fits", weights=path, device="cpu").output
    assert (assumed != told).any()


SKY = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
SKY |= {"CRPIX1": 10.2, "CRPIX2": 300.4, "CDELT1": 0.504302, "CDELT2": 0.504302, "CROTA2": 179.93}


def test_confidence(tmp_path, tiny):
    cards = SKY | {"BUNIT": "DN/s", "CONTENT": "CONTINUUM INTENSITY", "DATAMEAN": 1.0}
    image = image_file(tmp_path / "in.fits", **cards)
    with afits.open(image, mode="update") as hdus:
        hdus[0].data[:, :4] = np.nan
    out = tmp_path / "out.fits"
    result = enhance_file(image, out, weights=tiny, device="cpu", norm=1.0, confidence=True)
    predictor = CPU.predictor(weights.load(tiny))
    want = apply(result.input, "intensity", predictor, Norm(1.0), ensemble=True)
    with afits.open(out) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SPREAD", "RESIDUAL"]
        enhanced, spread, residual = hdus
        np.testing.assert_array_equal(enhanced.data, want.output)
        np.testing.assert_array_equal(spread.data, want.spread)
        np.testing.assert_array_equal(residual.data, residual_map(want.output, result.input))
        assert enhanced.header["ENHMEAN"] == 8
        assert {hdu.header["BUNIT"] for hdu in hdus} == {"DN/s"}
        assert len({hdu.header["CONTENT"] for hdu in hdus}) == 3
        for hdu in hdus:
            assert hdu.data.dtype == np.dtype(">f4")
            assert "DATAMEAN" not in hdu.header
            h, w = hdu.data.shape
            assert np.isnan(hdu.data[:, : w // 6]).all()  # 4 of 24 input columns
            assert np.isfinite(hdu.data[:, w // 6 :]).all()
            # the outer corners of the corner pixels, not their centres
            at = [(x - 0.5, y - 0.5) for x in (0, w) for y in (0, h)]
            sky = WCS(hdu.header).wcs_pix2world(at, 0)
            known = [(x - 0.5, y - 0.5) for x in (0, 24) for y in (0, 20)]
            truth = WCS(afits.Header(SKY)).wcs_pix2world(known, 0)
            np.testing.assert_allclose(3600 * sky, 3600 * truth, rtol=0, atol=1e-6)


def test_ensemble_alone(image, tiny, tmp_path):
    done = []
    for name, ensemble in (("one.fits", False), ("eight.fits", True)):
        enhance_file(
            image,
            tmp_path / name,
            weights=tiny,
            device="cpu",
            ensemble=ensemble,
            progress=lambda *at: done.append(at),
        )
        assert done[-1] == (480 * (8 if ensemble else 1),) * 2
    assert "ENHMEAN" not in afits.getheader(tmp_path / "one.fits")
    with afits.open(tmp_path / "eight.fits") as hdus:
        assert len(hdus) == 1
        assert hdus[0].header["ENHMEAN"] == 8
        assert (hdus[0].data != afits.getdata(tmp_path / "one.fits")).any()


RADIUS, SCALE = 60.0, 0.504  # arcsec, of a small Sun on HMI's pixels


def on_the_sun(path, shape, crpix, level=60_000.0, spot=False, **cards):
    """Writes a part of a limb-darkened disc, rotated like HMI's. spot : all of it is umbra."""
    header = afits.Header({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "RSUN_OBS": RADIUS})
    header.update({"CRPIX1": crpix[0], "CRPIX2": crpix[1], "CROTA2": 179.93, "BUNIT": "DN/s"})
    for i in (1, 2):
        header[f"CDELT{i}"], header[f"CUNIT{i}"] = SCALE, "arcsec"
    header.update({"CONTENT": "CONTINUUM INTENSITY", "DATE-OBS": "2014-03-01T00:00:27.90"})
    for key, value in cards.items():
        header.pop(key, None)
        if value is not None:
            header[key] = value
    at = disc.mu(header, shape)
    if at is None:
        at = np.ones(shape)
    granules = 1 + 0.02 * np.random.default_rng(1).standard_normal(shape)
    data = level * disc.limb_darkening(at) * granules * (0.2 if spot else 1)
    afits.writeto(path, data.astype(np.float32), header)
    return path


def test_limb_darkening_is_taken_out_and_put_back(tmp_path, tiny):
    source = on_the_sun(tmp_path / "disk.fits", (250, 260), (131.0, 124.0))
    made = enhance_file(source, tmp_path / "out.fits", weights=tiny, device="cpu")
    header = afits.getheader(tmp_path / "out.fits")
    assert header["ENHNORM"] == made.norm == pytest.approx(60_000, rel=0.01)
    assert header["ENHLIMB"] == made.limb == pytest.approx(1, abs=0.02)
    norm = Norm(made.norm, made.limb, disc.locate(afits.getheader(source)))
    flat = afits.getdata(source) / norm.lines(0, 250, 260)
    law = Norm(made.norm, made.limb, disc.locate(header)).lines(0, 500, 520)
    want = law * predict(flat, weights=tiny, norm="none", device="cpu")
    np.testing.assert_allclose(made.output, want, rtol=1e-4)
    gaps = np.isnan(made.input).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(np.isnan(made.output), gaps)


@pytest.mark.parametrize("norm", ["max", "none", 50_000])
def test_other_norms_leave_it_in(tmp_path, tiny, norm):
    source = on_the_sun(tmp_path / "disk.fits", (60, 62), (131.0, 24.0), ENHLIMB=1.0)
    made = enhance_file(source, tmp_path / "out.fits", weights=tiny, norm=norm, device="cpu")
    assert made.limb == 0
    assert "ENHLIMB" not in afits.getheader(tmp_path / "out.fits")
    want = predict(afits.getdata(source), weights=tiny, norm=norm, device="cpu")
    np.testing.assert_array_equal(made.output, want)


def test_norm_from_another_file(tmp_path, tiny, caplog):
    """Level and limb darkening are those of the disk, the latter at the position of the cut-out,
    which is all umbra."""
    disk = on_the_sun(tmp_path / "disk.fits", (250, 260), (131.0, 124.0))
    umbra = on_the_sun(tmp_path / "umbra.fits", (30, 40), (-50.0, 20.0), spot=True)
    alone = enhance_file(umbra, tmp_path / "a.fits", weights=tiny, device="cpu")
    assert "no quiet Sun" in caplog.text
    assert alone.norm == pytest.approx(60_300, rel=0.01)  # the usual level in 2014
    caplog.clear()
    made = enhance_file(umbra, tmp_path / "b.fits", weights=tiny, norm_from=disk, device="cpu")
    assert not caplog.records
    whole = enhance_file(disk, tmp_path / "c.fits", weights=tiny, device="cpu")
    assert (made.norm, made.limb) == (whole.norm, whole.limb)
    header = afits.getheader(tmp_path / "b.fits")
    assert (header["ENHNORM"], header["ENHLIMB"]) == (made.norm, made.limb)
    norm = Norm(made.norm, made.limb, disc.locate(header))
    flat = made.input / norm._replace(mu=disc.locate(afits.getheader(umbra))).lines(0, 30, 40)
    assert np.median(flat) == pytest.approx(0.2, rel=0.02)
    want = norm.lines(0, 60, 80) * predict(flat, weights=tiny, norm="none", device="cpu")
    np.testing.assert_allclose(made.output, want, rtol=1e-4)


def test_norm_from_for_a_file_that_tells_no_place(tmp_path, tiny, caplog):
    disk = on_the_sun(tmp_path / "disk.fits", (250, 260), (131.0, 124.0))
    bare = on_the_sun(tmp_path / "bare.fits", (30, 40), (0.0, 0.0), RSUN_OBS=None)
    made = enhance_file(bare, tmp_path / "a.fits", weights=tiny, norm_from=disk, device="cpu")
    assert "does not give its place" in caplog.text
    assert made.norm == pytest.approx(60_000, rel=0.01)
    assert made.limb == 0


@pytest.mark.parametrize("case", ["unit", "values", "type", "blos", "norm", "missing"])
def test_norm_from_refuses(tmp_path, tiny, case):
    disk, source = tmp_path / "disk.fits", tmp_path / "in.fits"
    options, words = {}, "must be in the unit of the input"
    if case == "unit":
        on_the_sun(disk, (90, 90), (45.0, 45.0), BUNIT="counts")
    elif case == "values":
        on_the_sun(disk, (90, 90), (45.0, 45.0), level=1.0, BUNIT=None)
    elif case == "type":
        image_file(disk, 0.0, 100.0, CONTENT="MAGNETOGRAM")
        words = r"against CONTENT='MAGNETOGRAM' \(blos\)"
    elif case != "missing":
        on_the_sun(disk, (90, 90), (45.0, 45.0))
    if case == "blos":
        image_file(source, 0.0, 100.0, CONTENT="MAGNETOGRAM")
        words = "needs norm quiet-sun and type intensity"
    else:
        on_the_sun(source, (30, 40), (0.0, 0.0))
    if case == "norm":
        options, words = {"norm": "max"}, "needs norm quiet-sun"
    error = OSError if case == "missing" else ValueError
    words = "must exist" if case == "missing" else words
    with pytest.raises(error, match=words):
        enhance_file(source, tmp_path / "o.fits", weights=tiny, norm_from=disk, **options)
    assert not (tmp_path / "o.fits").exists()


def test_what_stands_off_the_limb_of_a_magnetogram_does_not_matter(tmp_path, tiny):
    source = on_the_sun(tmp_path / "ic.fits", (60, 62), (131.0, 24.0))
    header = afits.getheader(source)
    header.update({"CONTENT": "MAGNETOGRAM", "BUNIT": "Gauss"})
    off = np.isnan(disc.mu(header, (60, 62)))
    assert 0 < off.mean() < 1
    outputs = []
    for noise in (40, 400):
        field = np.random.default_rng(2).standard_normal(off.shape) * np.where(off, noise, 8)
        afits.writeto(tmp_path / f"{noise}.fits", field.astype(np.float32), header)
        out = tmp_path / f"out{noise}.fits"
        outputs.append(enhance_file(tmp_path / f"{noise}.fits", out, weights=tiny).output)
    np.testing.assert_array_equal(*outputs)
    np.testing.assert_array_equal(np.isnan(outputs[0]), off.repeat(2, axis=0).repeat(2, axis=1))


# --- another telescope: 60 cm, 0.14 arcsec

OTHER = Optics("airy", 4.0, 0.6, 1.2, 5250e-10, 0.14)
THEIRS = {f"CDELT{i}": 0.14 for i in (1, 2)} | {f"CUNIT{i}": "arcsec" for i in (1, 2)}


def weights_of(path, optics):
    attributes = {} if optics is None else optics.attributes()
    weights.save(path, weights.Weights(CONFIG, *params.initial(CONFIG, 0), attributes))
    return path


def test_weights_tell_their_optics(tmp_path, caplog):
    """The pixel scale is compared with them, the header stores them, and RESIDUAL uses their
    PSF."""
    image = image_file(tmp_path / "in.fits", TELESCOP="OTHER", **THEIRS)
    own, out = weights_of(tmp_path / "own.h5", OTHER), tmp_path / "out.fits"
    made = enhance_file(image, out, weights=own, device="cpu", confidence=True)
    assert not [m for m in caplog.messages if "trust" in m]
    header = afits.getheader(out)
    stored = {name: header[key] for name, (key, _) in OPTICS_CARDS.items() if key in header}
    assert Optics.stored(stored) == OTHER
    want = residual_map(made.output, made.input, OTHER)
    np.testing.assert_array_equal(afits.getdata(out, "RESIDUAL"), want)
    assert (want != residual_map(made.output, made.input)).any()
    hmi = image_file(tmp_path / "hmi.fits", CDELT1=0.504, CUNIT1="arcsec")
    enhance_file(hmi, tmp_path / "b.fits", weights=own, device="cpu")
    assert "pixels of 0.504 arcsec, the network was trained on 0.14: do not trust" in caplog.text


@pytest.mark.parametrize("optics", [None, HMI])
def test_weights_that_tell_no_optics_are_for_hmi(tmp_path, caplog, optics):
    """HMI's optics are not written to the header, and cards of an earlier output are removed."""
    image = image_file(tmp_path / "in.fits", TELESCOP="OTHER", ENHPSF="airy", **THEIRS)
    own, out = weights_of(tmp_path / "own.h5", optics), tmp_path / "out.fits"
    enhance_file(image, out, weights=own, device="cpu", confidence=True)
    assert "pixels of 0.14 arcsec, the network was trained on HMI's 0.504" in caplog.text
    assert not {key for key, _ in OPTICS_CARDS.values()} & set(afits.getheader(out))


def test_a_psf_that_was_a_file_is_not_known(tmp_path, caplog):
    """The header stores its name, escaped; only the residual cannot be computed."""
    image = image_file(tmp_path / "in.fits", **THEIRS)
    own, out = tmp_path / "own.h5", tmp_path / "a.fits"
    theirs = OTHER.attributes() | {"psf": "mine_é.fits", "psf_scale_arcsec": 0.05}
    weights.save(own, weights.Weights(CONFIG, *params.initial(CONFIG, 0), theirs))
    enhance_file(image, out, weights=own, device="cpu", confidence=True)
    said = "RESIDUAL is left out: optics: the PSF is stored only in the file 'mine_é.fits'"
    assert said in caplog.text
    with afits.open(out) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SPREAD"]
        assert hdus[0].header["ENHPSF"] == "mine_\\xe9.fits"
