"""Tab completion of bash, zsh and fish, by Click's mechanism: the shell calls the program for each Tab.

Click's own scripts split values at spaces and commas, and put a space after `name=`. So each shell has a
script here. It passes the line up to the cursor, and gets back a line for each candidate: its kind, its text
and a note. What is offered is in `candidates`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    shell_complete,
    split_arg_string,
)

from lightwork.cli.output import echo
from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 2.0
"""Seconds after which a completion gives up, for example since a lake in S3 does not respond."""
_LINE = "LIGHTWORK_COMPLETION_LINE"
_BREAKS = "LIGHTWORK_COMPLETION_BREAKS"

_BASH = """\
%(complete_func)s() {
    local kind value note
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value note; do
        case $kind in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            part) COMPREPLY+=("$value"); compopt -o nospace 2>/dev/null ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env %(complete_var)s=bash_complete %(line)s="${COMP_LINE:0:COMP_POINT}" \\
        %(breaks)s="$COMP_WORDBREAKS" "$1" 2>/dev/null </dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local line kind
    local -a fields whole part
    for line in "${(@f)$(env %(complete_var)s=zsh_complete \\
        %(line)s="${(j: :)words[1,CURRENT-1]} $PREFIX" ${(Q)words[1]} 2>/dev/null </dev/null)}"; do
        fields=("${(@ps:\\t:)line}")
        kind=$fields[1] line=${fields[2]//:/\\\\:}${fields[3]:+:$fields[3]}
        case $kind in
            dir) compset -P '*='; _path_files -/; return ;;
            file) compset -P '*='; _path_files; return ;;
            part) part+=("$line") ;;
            plain) whole+=("$line") ;;
        esac
    done
    (( $#part )) && _describe -V '' part -U -S ''
    (( $#whole )) && _describe -V '' whole -U
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    set -l program (commandline --tokenize --current-process)[1]
    set -l line (commandline --cut-at-cursor --current-process | string collect)
    env %(complete_var)s=fish_complete %(line)s="$line" $program 2>/dev/null </dev/null |
    while read --delimiter \\t --local kind value note
        switch $kind
            case dir
                __fish_complete_directories (commandline --current-token --cut-at-cursor) ''
            case file
                __fish_complete_path (commandline --current-token --cut-at-cursor) ''
            case '*'
                printf '%%s\\t%%s\\n' $value $note
        end
    end
end
complete --no-files --keep-order --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


def is_asked(name: str) -> bool:
    """Return whether a shell asks the program of this name for completions."""
    return bool(os.environ.get(_variable(name)))


def answer(command: click.Command, name: str) -> int:
    """Print the completions of the shell's line; print nothing if anything goes wrong.

    Args:
        command: the group of commands.
        name: the program's name.
    """
    variable = _variable(name)
    with contextlib.suppress(Exception), _limited(LIMIT):
        return shell_complete(command, {}, name, variable, os.environ[variable])
    return 1


def _variable(name: str) -> str:
    """Return the environment variable by which a shell asks a program for completions.

    >>> _variable("lightwork-estate")
    '_LIGHTWORK_ESTATE_COMPLETE'
    """
    return f"_{name.replace('-', '_')}_COMPLETE".upper()


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End the process, without a word, if the block takes too long: whoever typed waits at the prompt."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def give_up(*_: object) -> NoReturn:
        os._exit(1)  # an error would be caught by what waits for a lake, and tried again

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Shell(ShellComplete):
    """A shell whose script passes the line up to the cursor."""

    def source(self) -> str:
        """Return the script that the shell reads."""
        return self.source_template % {**self.source_vars(), "line": _LINE, "breaks": _BREAKS}

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words between the program's name and the one that is being typed, and that one."""
        line = os.environ[_LINE]
        words = split_arg_string(line)
        is_between = len(split_arg_string(f"{line}x")) > len(words)
        word = "" if is_between or len(words) < 2 else words.pop()
        return words[1:], word

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Return the candidates, each as the whole word that is being typed."""
        option, equals, _ = incomplete.partition("=")
        before = f"{option}=" if equals and option.startswith("--") else ""
        items = super().get_completions(args, incomplete)
        for item in items:
            item.value = before + item.value
        return [item for item in items if one_line(item.value) == item.value]

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return a candidate as the scripts read it."""
        return f"{item.type}\t{item.value}\t{one_line(item.help or '')}"


@add_completion_class
class _Bash(_Shell):
    """Bash, which completes only what follows the last `=` or `:` of a word, and quotes nothing itself."""

    name = "bash"
    source_template = _BASH

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return a candidate without the part of it that Bash leaves as it is, and quoted."""
        before, quote = _left_as_it_is(os.environ[_LINE], os.environ.get(_BREAKS, "=:"))
        rest = item.value.removeprefix(before)
        if quote == '"':
            rest = re.sub(r'([$`"\\])', r"\\\1", rest)
        elif not quote:
            rest = re.sub(r"([^\w@%+=:,./-])", r"\\\1", rest)
        return f"{item.type}\t{rest}\t"


@add_completion_class
class _Zsh(_Shell):
    """Zsh, which quotes what it inserts."""

    name = "zsh"
    source_template = _ZSH


@add_completion_class
class _Fish(_Shell):
    """Fish, which quotes what it inserts, and adds no space after `=`."""

    name = "fish"
    source_template = _FISH


def _left_as_it_is(line: str, breaks: str) -> tuple[str, str]:
    """Return the part of the last word that Bash keeps, without quotes, and the quote that is open.

    >>> _left_as_it_is("lightwork run windy-city mode=f", "=:")
    ('mode=', '')
    """
    word = before = quote = ""
    is_escaped = False
    for character in line:
        if is_escaped:
            word, is_escaped = word + character, False
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote, before = character, word
        elif character.isspace():
            word = before = ""
        else:
            word += character
            before = word if character in breaks else before
    return before, quote


def command_for(program: str) -> click.Command:
    """Return the command `completion` of a program."""

    @click.command("completion")
    @click.argument("shell", required=False, metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
    def completion(shell: str | None) -> None:
        """Show how to complete commands with Tab; with SHELL (bash, zsh or fish), print its script."""
        if shell is None:
            echo(_HOW.format(program=program).rstrip())
            return
        click.echo(_SCRIPTS[shell](click.Group(), {}, program, _variable(program)).source(), nl=False)

    return completion


_SCRIPTS: dict[str, type[_Shell]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
_HOW = """\
To complete with Tab in the current shell:

  bash, zsh:  eval "$({program} completion bash)"    (or zsh)
  fish:       {program} completion fish | source

To do so in each new shell, also where {program} is not on the PATH yet:

  bash:  {program} completion bash > ~/.{program}.bash
         echo 'source ~/.{program}.bash' >> ~/.bashrc
  zsh:   {program} completion zsh > ~/.{program}.zsh
         echo 'source ~/.{program}.zsh' >> ~/.zshrc
  fish:  mkdir -p ~/.config/fish/completions
         {program} completion fish > ~/.config/fish/completions/{program}.fish
"""

completion_command = command_for("lightwork")
