"""The reasons to doubt a pixel: bits of a mask."""

from enum import IntFlag

EDGE = 5  # input pixels; the network looks hardly any farther
SIGMAS = 4.0  # of a residual that is more than noise


class Doubt(IntFlag):
    """The bits of the doubt mask. 0 is a pixel without a reason to doubt its error bar."""

    RESIDUAL = 1  # the output, blurred again, differs from the input by more than noise
    VALUE = 2  # mean around the pixel outside of what the calibration data hold
    CONTRAST = 4  # standard deviation around the pixel outside of it
    EDGE = 8  # at the border or near missing pixels, or missing itself


COMMENTS = {
    Doubt.RESIDUAL: f"re-blurred output - input over {SIGMAS:g} sigma",
    Doubt.VALUE: "mean around it unlike the calibration data",
    Doubt.CONTRAST: "contrast around it unlike these data",
    Doubt.EDGE: f"within {EDGE} input pixels of border or gap",
}
