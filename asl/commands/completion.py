"""asl completion: shell code that completes commands, and choices through Hydra."""

from collections.abc import Sequence

from asl.cli import COMMANDS
from asl.errors import UserError
from asl.paths import CONF

# Hydra answers `asl train -sc query=bash` with completions of the line in COMP_LINE, whose first
# word it takes for the program; so the subcommand is left out of what it sees.
BASH = """\
_asl_complete() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}"
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$current"))
        return
    fi
    case "${{COMP_WORDS[1]}}" in
        {hydra})
            local name="${{COMP_WORDS[1]}}"
            local line="asl ${{COMP_LINE#*"$name" }}"
            COMPREPLY=($(COMP_LINE="$line" COMP_POINT=${{#line}} asl "$name" -sc query=bash))
            ;;
    esac
}}
COMP_WORDBREAKS=${{COMP_WORDBREAKS//=}}
complete -o nospace -o default -F _asl_complete asl
"""


def main(arguments: Sequence[str]) -> None:
    """Print the code; `eval "$(asl completion bash)"` turns it on."""
    if list(arguments) != ["bash"]:
        raise UserError(f"completion={' '.join(arguments)}: choose from bash")
    # The commands that compose a config of their own name.
    hydra = "|".join(name for name in COMMANDS if (CONF / f"{name}.yaml").is_file())
    print(BASH.format(commands=" ".join(COMMANDS), hydra=hydra))
