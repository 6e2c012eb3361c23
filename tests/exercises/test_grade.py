"""`enhance-np exercises` and `grade`: files of all kinds, each in a process of its own."""

import re
from pathlib import Path

import pytest

from enhance_np.cli import main
from enhance_np.exercises import blanks
from enhance_np.exercises.grade import NAMES, grade

SOLUTIONS = Path(__file__).parents[2] / "docs/learn/solutions.py"
BODY = "    return dy * (x > 0)"


@pytest.fixture
def file(tmp_path):
    """Writes the solutions with another body of relu_backward, or other text at the top."""

    def write(body=BODY, top=""):
        path = tmp_path / "mine.py"
        text = SOLUTIONS.read_text()
        assert BODY in text
        path.write_text(top + text.replace(BODY, body))
        return str(path)

    return write


def run(capsys, *arguments):
    """(status, stdout, stderr); Python prints a status that is a text and exits with 1."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    status = ended.value.code
    return (1, out, err + status) if isinstance(status, str) else (status or 0, out, err)


def test_from_blanks_to_solutions(tmp_path, capsys):
    mine = tmp_path / "my_backward.py"
    assert run(capsys, "exercises", "--out", mine)[0] == 0
    assert mine.read_bytes() == Path(blanks.__file__).read_bytes()
    status, out, _ = run(capsys, "grade", mine)
    assert status == 1
    assert out.count("not begun") == len(NAMES) - 1  # the network waits for all of them
    assert "0 of 9 right." in out
    status, out, _ = run(capsys, "grade", SOLUTIONS)
    assert status == 0
    assert "9 of 9 right." in out
    before, after = map(float, re.search(r"loss (\d\.\d+) -> (\d\.\d+)", out).groups())
    assert after < before


def test_a_wrong_function_is_named_and_the_others_are_graded(file, capsys):
    status, out, _ = run(capsys, "grade", file("    return dy * (dy > 0)"))
    assert status == 1
    assert "fails   mask: the mask must tell where x > 0" in out
    assert "7 of 9 right." in out
    assert "--hint relu_backward" in out


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("    while True:\n        pass", "time: must end within 3 s"),
        ("    return 1 / 0", "runs: ZeroDivisionError in line {line}"),
        ("    import socket\n    socket.socket()", "needs NumPy only, tried socket."),
        ("    import os\n    os.system('true')", "needs NumPy only, tried os.system"),
        ("    import subprocess\n    subprocess.run(['true'])", "tried subprocess.Popen"),
        ("    open('left.txt', 'w')", "must not write files"),
        ("    import os\n    os.remove(__file__)", "tried os.remove"),
        ("    import os\n    os.chmod(__file__, 0)", "tried os.chmod"),
        ("    import os\n    os._exit(3)", "ended: the process ended with status 3"),
        ("    raise SystemExit", "runs: SystemExit"),
    ],
    ids=lambda text: text.split("\n")[-1].strip()[:20],
)
def test_what_a_function_does_wrong(body, problem, file):
    name = file(body)
    line = Path(name).read_text()[: Path(name).read_text().index(body)].count("\n") + 1
    # a process that is slow on a busy machine is not a loop without end
    (found,) = grade(name, "relu_backward", seconds=3 if "while" in body else 60)
    assert found.state == "wrong"
    assert problem.format(line=line) in found.problem


@pytest.mark.parametrize(
    ("top", "problem"),
    [
        ("def broken(:\n", "line 1: "),
        ("import no_such_module\n", "ModuleNotFoundError in line 1"),
        ("exit()\n", "SystemExit in line 1"),
    ],
)
def test_a_file_that_cannot_be_loaded(top, problem, file, capsys):
    status, out, _ = run(capsys, "grade", file(top=top))
    assert status == 1
    assert f"cannot be loaded: {problem}" in out
    assert "0 of 9 right." in out


def test_what_the_file_prints_is_shown(file, capsys):
    mine = file("    print('shape', x.shape, '\\x1b[31m')\n" + BODY)
    _, out, _ = run(capsys, "grade", mine, "--only", "relu_backward")
    assert "printed shape (2, 4, 5, 3)" in out
    assert "\x1b" not in out


def test_a_missing_function(file):
    name = file()
    text = Path(name).read_text().replace("def relu_backward", "def relu_forward")
    Path(name).write_text(text)
    (found,) = grade(name, "relu_backward")
    assert found.problem == "the file must define the function relu_backward"


def test_grading_changes_nothing_beside_the_file(file, tmp_path):
    list(grade(file(), "relu_backward"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_hints_come_one_by_one(capsys):
    for step in (1, 2, 3):
        status, out, _ = run(capsys, "exercises", "--hint", "adam_step", "--step", step)
        assert status == 0
        assert re.findall(r"^\d", out, re.M) == [str(n + 1) for n in range(step)]
        assert (f"--step {step + 1}" in out) == (step < 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exercises", "--hint", "pooling"), "the hints are for relu_backward"),
        (("exercises", "--out", "mine.txt"), "must end in .py"),
        (("exercises", "--out", "{dir}/there.py"), "exists; --overwrite replaces it"),
        (("exercises", "--out", "mine.py", "--step", "2"), "--step belongs to --hint"),
        (("grade", "{dir}/none.py"), "cannot be read"),
        (("grade", "{dir}/there.py", "--only", "pooling"), "must be one of relu_backward"),
        (("grade", "{dir}/there.py", "--seconds", "0"), "seconds must be above 0"),
        (("grade", "{dir}/there.py", "--seconds", "inf"), "at most 86400"),
        (("grade", "{dir}"), "must end in .py"),
    ],
)
def test_faults(arguments, message, tmp_path, capsys):
    (tmp_path / "there.py").write_text("x = 1\n")
    status, _, err = run(capsys, *(a.format(dir=tmp_path) for a in arguments))
    assert status == 1
    assert message in err
    assert len(err.splitlines()) == 1
    assert (tmp_path / "there.py").read_text() == "x = 1\n"
