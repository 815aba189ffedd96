"""Words and options of shell scripts, read as a shell would and never executed."""

from pathlib import Path

import pytest

from clustercast.errors import WrongInput
from clustercast.studies.launch.arguments import Options, Word, read_script

PATH = Path("run.sh")


def words(text: str) -> list[str]:
    """The words of the last command of a script."""
    return [word.text for word in read_script(text, PATH).commands[-1]]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a 'b c' \"d e\" f\\ g", ["a", "b c", "d e", "f g"]),
        ("a \\\n  b # c\n", ["a", "b"]),
        ("N=8\na $N ${N} \"$N\" '$N' ${N}x", ["a", "8", "8", "8", "$N", "8x"]),
        ("export N=8 M=9\na $N $M", ["a", "8", "9"]),
        ("a ${N:-4} ${M:-${N:-5}} ${1:-6}", ["a", "4", "5", "6"]),
        ('A="-x 1 -y 2"\na $A "$A"', ["a", "-x", "1", "-y", "2", "-x 1 -y 2"]),
        ("A=(1 '2 3')\na ${A[@]}", ["a", "1", "2", "3"]),
        ("A=(1 '2 3')\na \"${A[@]}\" $A", ["a", "1", "2 3", "1"]),
        ("A=()\na \"${A[@]}\" b", ["a", "b"]),
        ("A=(1)\nA+=(2)\nB=x\nB+=y\na ${A[@]} $B", ["a", "1", "2", "xy"]),
        ("A=(\n --b 1 \\\n # c\n --d 2 # e\n)\na ${A[@]}", ["a", "--b", "1", "--d", "2"]),
        ("N=4\na $(($N*2)) $((N + 1)) $((1/0))", ["a", "8", "5", "$((1/0))"]),
        ("a $(rm -rf /) `rm -rf /` $UNSET ${UNSET}", ["a", "$(rm -rf /)", "`rm -rf /`", "$UNSET", "${UNSET}"]),
        ("A=1\nif [ $X ]; then A=2; else A=3; fi\na $A", ["a", "2"]),
        ("case $X in\n1) A=1;;\n2) A=2;;\nesac\na $A", ["a", "1"]),
        ("a 1 \\ \n b", ["b"]),
        ("cat <<EOF > f\na 1\nEOF\nb 2 > log 2>&1", ["b", "2"]),
        ("N=1 M=2 a b | tee c", ["tee", "c"]),
        ("A=$A\nA=${A}x\na $A", ["a", "$Ax"]),
        ("bash -c 'a  b\nc d'", ["c", "d"]),
        ("run=\"a 1\"\nrun=\"$run 2\"\neval $run", ["a", "1", "2"]),
        ("a --x='1 2' --y=\"3\"4", ["a", "--x=1 2", "--y=34"]),
        ("a {b,c} [ d ] =", ["a", "{b,c}", "[", "d", "]", "="]),
    ],
)  # fmt: skip
def test_words_are_those_of_a_shell(text: str, read: list[str]) -> None:
    assert words(text) == read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb 'c\nd", "run.sh:2: the quote ' that opens here is never closed"),
        ('a "b $(c\nd', "run.sh:1: the ( that opens here is never closed"),
        ('a\n"b', 'run.sh:2: the quote " that opens here is never closed'),
        ("a `b", "run.sh:1: the quote ` that opens here is never closed"),
        ("\n\nA=(b\nc", "run.sh:3: the parenthesis that opens here is never closed"),
        ("A=(b; c)", "run.sh:1: ';' inside the parentheses that open on line 1"),
        ("a ${b", "run.sh:1: the { that opens here is never closed"),
        ("a " + "${b:-" * 40 + "}" * 40, "run.sh:1: is nested deeper than 32 levels"),
        ("if a\n" * 40, "run.sh:33: is nested deeper than 32 levels"),
        ("A=aaaaaaaa\n" + "A=$A$A\n" * 40, "grows too large when its variables are put in"),
        ("a " * 200_001, "run.sh:1: holds too many words, expected a launch script"),
    ],
)
def test_what_is_no_script_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(WrongInput) as raised:
        read_script(text, PATH)
    assert said in raised.value.message


def test_a_word_knows_its_line() -> None:
    script = read_script('A="\n  --b 1 \\\n  --c 2\n"\na $A \\\n  --d', PATH)
    assert [(word.text, word.line) for word in script.commands[0]] == [
        ("a", 5), ("--b", 2), ("1", 2), ("--c", 3), ("2", 3), ("--d", 6),
    ]  # fmt: skip


def options(text: str) -> Options:
    return Options([Word(part, 7) for part in text.split()], PATH)


def test_options_are_found_by_either_spelling_and_the_last_holds() -> None:
    found = options("serve x --a_b 3 --c=4 --flag --n -1 --list 1 2 3 --a-b 5")
    assert [word.text for word in found.positional] == ["serve", "x"]
    assert (found.whole("--a-b"), found.whole("c"), found.flag("flag"), found.number("n")) == (5, 4, True, -1.0)
    assert found.find("list") == ("--list", ("1", "2", "3"), 7)
    assert found.whole("other") is None
    assert found.notes() == ["run.sh:7: --a_b is given again on line 7, which holds"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--n", "run.sh:7: --n: needs a value"),
        ("--n many", "run.sh:7: --n: expected a whole number from 1 to 9, got 'many'"),
        ("--n 10", "run.sh:7: --n: expected a whole number from 1 to 9, got '10'"),
        ("--n " + "9" * 5000, "got '" + "9" * 64 + "...'"),
        ("--n \x1b[31m1", "got '\\x1b[31m1'"),
        ("--n 1_0", "got '1_0'"),
        ("--n ٣", "expected a whole number"),
    ],
)
def test_numbers_that_are_none_are_refused(text: str, said: str) -> None:
    with pytest.raises(WrongInput) as raised:
        options(text).whole("n", high=9)
    assert said in raised.value.message


def test_what_is_not_set_is_said_to_be_so() -> None:
    with pytest.raises(WrongInput) as raised:
        options("--n $N").whole("n")
    assert raised.value.hint == "only what the file itself sets is put in: nothing is executed"
