# SPDX-License-Identifier: Apache-2.0
"""sarsen(1) says what `sarsen help` says: the same commands, operands, options and sentences."""
import pathlib
import re
import subprocess

import pytest

MANUAL = pathlib.Path(__file__).parents[2] / "packaging" / "sarsen.1"
SERVING = ("dev", "server", "upgrade", "store", "config")


def plain(text):
    """Manual or help as words: without requests and fonts, one blank between two words."""
    lines = []
    for line in text.split("\n"):
        request = re.match(r"\.(B|I|BI|BR|IR|RB) (.*)", line)
        line = request.group(2).replace('"', "") if request else line
        if not line.startswith("."):
            lines.append(line.removeprefix("\\&"))
    text = re.sub(r"\\f[BIR]", "", " ".join(lines))
    for escaped, shown in (("\\-", "-"), ("\\(aq", "'"), ("\\e", "\\"), ("…", "...")):
        text = text.replace(escaped, shown)
    return " ".join(text.split())


@pytest.fixture(scope="module")
def sections():
    found, name = {}, None
    for line in MANUAL.read_text().split("\n"):
        if line.startswith(".SH "):
            name = line[4:]
        found[name] = found.get(name, "") + line + "\n"
    return found


def commands(binary):
    """Each verb's words, as the first lines of `sarsen help` have them, behind the serving ones."""
    lines = [re.match(r"  ([a-z].*?)(?:  +|$)", line) for line in ask(binary).split("\n")]
    forms = [line.group(1) for line in lines if line]
    assert [form.split()[0] for form in forms[:6]] == [*SERVING, "help"]
    return [[word for word in form.split() if re.fullmatch("[a-z]+", word)] for form in forms[6:]]


def ask(binary, *words):
    return subprocess.run([binary, "help", *words], capture_output=True, text=True, timeout=20,
                          check=True).stdout


def test_every_command_is_in_the_manual_as_help_has_it(binary, sections):
    entries = dict(entry.strip().split("\n", 1)
                   for entry in sections["COMMANDS"].split(".TP\n")[1:])
    shown = {plain(tag): plain(text) for tag, text in entries.items()}
    helped = {}
    for words in commands(binary):
        usage, _, text = ask(binary, *words).partition("\n\n")
        usage = usage.removeprefix("usage: sarsen ").replace(" [--json]", "")
        helped[plain(usage)] = plain(text)
    assert shown == helped


@pytest.mark.parametrize("verb", SERVING)
def test_serving_commands_and_their_options_are_in_the_manual(binary, sections, verb):
    synopsis, manual = plain(sections["SYNOPSIS"]), plain(MANUAL.read_text())
    assert f"sarsen {verb}" in synopsis
    for option in re.findall(r"^ +(--?[a-z]+)", ask(binary, verb), re.MULTILINE):
        assert re.search(rf"[ \[]{option}\b", synopsis), (verb, option, manual)


def test_options_of_all_are_in_the_manual(binary, sections):
    last = ask(binary).partition("\nAll take ")[2]
    options = set(re.findall(r"--[a-z-]+", last))
    assert options == set(re.findall(r"--[a-z-]+", plain(sections["OPTIONS"])))
