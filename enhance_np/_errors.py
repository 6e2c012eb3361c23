"""What errors and warnings have in common: one line, and the parameters that would avoid them."""


def one_line(error: BaseException) -> str:
    """The message without line breaks; the name of its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def avoidable(error: Exception, *parameters: str) -> Exception:
    """The error, with the parameters of which another value would avoid it as `parameters`.

    A message says what must hold, in words that serve Python and the command line. The command
    line appends its flags of these parameters. Log records carry them in the same attribute:
    log.warning(..., extra={"parameters": ("type",)}).
    """
    error.parameters = parameters
    return error
