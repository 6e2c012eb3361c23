"""The chapter's numbers, and why ours differ."""

from typing import NamedTuple


class Entry(NamedTuple):
    key: str  # of the number in numbers.json
    figure: str  # of the chapter, near which it stands
    quantity: str
    unit: str
    chapter: str  # the chapter's number, in words
    why: str  # ours differs, or may; "" if it must be the same
    style: str = "{:.3g}"  # of ours


class Missing(NamedTuple):
    figure: str
    what: str
    why: str


_WIDER = (
    "the weights that ship undo more of the blur than the published ones: their target has a "
    "contrast of 9 %"
)
_MOST_IS_NOISE = (
    "the mean over the region of |difference| over that of |B|; most of it is the noise of the "
    "input, which no output should have"
)

ENTRIES = (
    Entry("parameters", "4", "parameters of 5 blocks of 64 filters", "", "446,657", "", "{:,.0f}"),
    Entry("trainable", "4", "of these, trained", "", "445,249", "", "{:,.0f}"),
    Entry(
        "parameters_default",
        "4",
        "parameters of the default network that ships",
        "",
        "446,657",
        "it has 32 filters, which are enough if all of them are alive",
        "{:,.0f}",
    ),
    Entry(
        "parameters_small",
        "4",
        "parameters of the small network, 1 block of 32 filters",
        "",
        "about 40,000",
        "the chapter rounds",
        "{:,.0f}",
    ),
    Entry("limit", "5", "first dark ring of a telescope of 14 cm", "arcsec", "1.11", ""),
    Entry("limit_target", "5", "first dark ring of one of 28 cm", "arcsec", "0.55", ""),
    Entry(
        "contrast_degraded",
        "5",
        "granulation contrast of the degraded simulation",
        "%",
        "like HMI's; that is 3.7 in figure 7",
        "another simulation; a kernel that ends at 4.4 arcsec, as in the chapter's listing, gives "
        "0.2 more than ours of 12 arcsec",
    ),
    Entry(
        "contrast_hmi",
        "5",
        "granulation contrast of HMI, in the quietest square",
        "%",
        "3.7, in figure 7",
        "another day and place",
    ),
    Entry(
        "tail_modified",
        "5",
        "power of the degraded simulation over HMI's, at 0.25 to 0.4 per pixel of HMI",
        "",
        "near 1, in the figure",
        "another simulation and another image; a remapped one has lost power",
    ),
    Entry(
        "tail_wachter",
        "5",
        "the same with the PSF of Wachter et al. (2012)",
        "",
        "above 1, in the figure",
        "as above; that PSF is narrower, so more power is left",
    ),
    Entry(
        "contrast_input",
        "7",
        "granulation contrast of the input",
        "%",
        "3.7",
        "of all quiet pixels of the region; HMI resolves less of granules far from disc centre",
    ),
    Entry("contrast_output", "7", "granulation contrast of the output", "%", "7", _WIDER),
    Entry(
        "umbra_change",
        "7",
        "change of the umbra's mean intensity",
        "%",
        "-3 to -7",
        f"{_WIDER}; the smaller an umbra, the more of its light came from around it",
        "{:+.1f}",
    ),
    Entry(
        "hinode_full",
        "7",
        "granulation contrast of Hinode as it is",
        "%",
        "7",
        "without a file of Hinode, the synthetic scene through a perfect 50 cm telescope; the real "
        "one has stray light",
    ),
    Entry(
        "hinode_contrast",
        "7",
        "granulation contrast of Hinode blurred to 28 cm, over the output's",
        "",
        "about 0.5",
        "as above: without stray light it would be 1 for a perfect output",
    ),
    Entry(
        "hinode_kilogauss",
        "10",
        "Hinode's |B| over the output's, where that is 800 to 1200 G, at the same resolution",
        "",
        "near 1, in the figure",
        "of the same scene; the chapter's Hinode map is of another time",
    ),
    Entry(
        "hinode_shift",
        "7, 10",
        "error of the shift that `compare` finds, in output pixels",
        "",
        "not given",
        "the chapter does not tell how it aligned; here the header is wrong by a known amount",
        "{:.3f}",
    ),
    Entry(
        "kilogauss",
        "9",
        "output over input where the input has 800 to 1200 G",
        "",
        "1.3 to 1.4",
        "in penumbrae the field is smooth at HMI's scale and hardly grows; the number depends on "
        "how much of the region is plage",
    ),
    Entry(
        "plage",
        "9",
        "the same in plage, at 200 to 800 G",
        "",
        "up to 2",
        "a mean over all of the plage, not the largest value",
    ),
    Entry(
        "flux",
        "9",
        "unsigned flux of the output over the input's",
        "",
        "nearly 1",
        "polarities that cancel in a pixel of HMI are separated again",
    ),
    Entry(
        "flux_rl",
        "11",
        "unsigned flux of Richardson-Lucy over the input's",
        "",
        "not given",
        "1 by construction: each polarity keeps its sum",
    ),
    Entry(
        "excess_peak",
        "9",
        "frequency at which most variance per octave is added",
        "per pixel",
        "0.15, in the figure",
        "the chapter reads the largest distance of two curves; large spots move ours to larger "
        "scales",
    ),
    Entry(
        "excess_low",
        "9",
        "from here, at least half of that",
        "per pixel",
        "0.05",
        "as above; looked for from 0.05 on",
    ),
    Entry("excess_high", "9", "to here, at least half of that", "per pixel", "0.25", "as above"),
    Entry(
        "excess_ratio",
        "9",
        "frequency of the largest ratio of output to input, up to 0.25",
        "per pixel",
        "0.15, in the figure",
        "the ratio grows until the input has only noise; 720 s images have less of it, and 0.25 is "
        "the end of their pixels",
    ),
    Entry(
        "rl_power",
        "9",
        "power of Richardson-Lucy over the output's, below 0.15 per pixel",
        "",
        "nearly 1",
        "Richardson-Lucy estimates the Sun itself, the network the Sun through 28 cm",
    ),
    Entry(
        "noise_input",
        "9",
        "level of the input's spectrum at 0.25 to 0.3 per pixel, as white noise",
        "G",
        "about 10",
        "720 s images have less noise than the chapter's of 45 s; interpolation removes a part",
    ),
    Entry(
        "noise_output",
        "9",
        "the same of the output",
        "G",
        "less than of Richardson-Lucy",
        "not noise alone: the Sun through 28 cm has structure there",
    ),
    Entry(
        "noise_rl",
        "9",
        "the same of Richardson-Lucy",
        "G",
        "about 80",
        "20 iterations, as published, but each polarity apart; less noise in the input gives less "
        "here",
    ),
    Entry(
        "bridge",
        "11",
        "mean |B| of Richardson-Lucy over the output's, in light bridges",
        "",
        "0.5",
        "not confirmed: a light bridge has one polarity, so nothing cancels there",
    ),
    Entry(
        "line",
        "11",
        "the same along the polarity-inversion line",
        "",
        "0.5",
        "polarities deconvolved apart cannot be taken out of each other",
    ),
    Entry(
        "umbra_rl",
        "11",
        "|B| of Richardson-Lucy minus the output's, in the umbra",
        "G",
        "50 to 80",
        "where the truth is known, it tells which of the two is too strong or too weak",
        "{:+.0f}",
    ),
    Entry(
        "residual", "11", "output blurred again, against the input", "%", "about 4", _MOST_IS_NOISE
    ),
    Entry("residual_rl", "11", "the same of Richardson-Lucy", "%", "below 1", _MOST_IS_NOISE),
    Entry(
        "residual_umbra",
        "11",
        "output blurred again, in the umbra",
        "%",
        "about 4",
        "where noise is small beside the field; a perfect output has the blur of 28 cm twice",
    ),
    Entry("residual_umbra_rl", "11", "the same of Richardson-Lucy", "%", "below 1", "as above"),
    Entry(
        "missed_quiet", "11", "mean |difference| in quiet Sun", "G", "10", "the noise of the input"
    ),
    Entry("missed_umbra", "11", "mean |difference| in the umbra", "G", "up to 80", ""),
    Entry(
        "speed_rl",
        "11",
        "time of Richardson-Lucy over that of the network",
        "",
        "orders of magnitude",
        "the network on the chosen device; RL by fast cosine transforms, on all cores",
        "{:.0f}",
    ),
    Entry(
        "seconds_400",
        "7",
        "time of the default network for 400 x 400 pixels",
        "s",
        "about 1, on a Core i7 of 3.4 GHz",
        "another processor, half the filters, and Winograd convolutions",
    ),
    Entry(
        "small_speed",
        "4",
        "time of the default network over that of the small one",
        "",
        "6",
        "our default network has a quarter of the chapter's work",
    ),
    Entry(
        "small_intensity",
        "4",
        "mean |difference| of the small network's output, over the mean, in intensity",
        "%",
        "about 3",
        "both networks that ship were trained on the same pairs",
    ),
    Entry(
        "small_blos",
        "4",
        "the same in the field",
        "%",
        "about 3",
        "over the mean |B|, most of which may be weak",
    ),
    Entry(
        "limb_detail",
        "limb",
        "structure that the output adds 2 to 12 arcsec from the limb",
        "%",
        "artefacts",
        "limb darkening is divided out, and pixels off the disc are continued instead of 0",
    ),
    Entry(
        "limb_inside",
        "limb",
        "the same more than 20 arcsec inside",
        "%",
        "not given",
        "granules have less contrast near the limb",
    ),
    Entry(
        "limb_error",
        "limb",
        "error of the output over that of interpolation, 2 to 12 arcsec from the limb",
        "",
        "poorer than at disc centre",
        "confirmed if it is closer to 1 than the next; only a toy of the limb has a truth",
    ),
    Entry(
        "disc_error",
        "limb",
        "the same in quiet Sun at disc centre",
        "",
        "not given",
        "",
    ),
)

# what cannot be made again
MISSING = (
    Missing(
        "2", "neurons and convolutions as drawings", "drawings without data; see the pages of Learn"
    ),
    Missing(
        "",
        "accuracy with and without batch norm, with and without shortcuts",
        "figures of other papers, of other networks",
    ),
    Missing(
        "",
        "time and loss of the training, 500 s an epoch on a Titan X",
        "no training is part of this command; bench/README.md has the times of ours",
    ),
    Missing(
        "",
        "the times of Keras and TensorFlow",
        "neither is installed with this package; bench/ times them if they are",
    ),
    Missing(
        "7, 10",
        "the Hinode images of 2011, 2014 and 2015",
        "not at hand: a file can be named; without one, the synthetic scene is seen through 50 cm",
    ),
    Missing(
        "5, 6",
        "the simulation of Cheung et al. (2010)",
        "not at hand: a file can be named; without one, the synthetic Sun is used",
    ),
)
