#!/usr/bin/env python3
"""Makes one shell script of a document's code blocks, so that what readers copy is what was run.

    documents.py FILE           the script, on standard output
    documents.py --list FILE    the blocks that are not run, and why

A block fenced as `sh` runs, in order, all in one shell. `sh serve` runs its first command in the background and waits
until the service listens; the rest of the block is for the reader. `sh background TEXT` runs the whole block in the
background, for what does not end, and waits until it has said the text. `sh not-run REASON` is never run. What a reader
has from elsewhere, such as somebody's request, stands in a comment of the document: `<!-- given: COMMAND -->`.
A block in any other language must say `not-run` as well, or be `text`, which is what a program prints.
"""

import re
import shlex
import sys
from typing import Iterator, NamedTuple

FENCE = re.compile(r"^```(?P<info>[^`\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
GIVEN = re.compile(r"^<!-- given: (?P<code>.*?) -->$", re.MULTILINE | re.DOTALL)
# Languages of which no block is run here: each has a check of its own or is nothing to run.
NOTHING_TO_RUN = {"text", "mermaid", "toml", "ini"}


class Block(NamedTuple):
    """A block, and where it begins."""

    line: int
    language: str
    how: str
    reason: str
    code: str


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a document, and what is given between them, in order."""
    found = [(match.start(), match) for pattern in (FENCE, GIVEN) for match in pattern.finditer(text)]
    for start, match in sorted(found, key=lambda item: item[0]):
        line = text.count("\n", 0, start) + 1
        info = match.groupdict().get("info")
        language, how, reason = ([*info.split(maxsplit=2), "", "", ""] if info is not None else ["sh", "given", ""])[:3]
        yield Block(line, language, how, reason, match["code"])


def script(path: str, text: str) -> Iterator[str]:
    """The lines of the script."""
    for block in blocks(text):
        place = f"{path}:{block.line}"
        if block.how == "not-run":
            if not block.reason:
                sys.exit(f"{place}: say why it is not run")
            continue
        if block.language in NOTHING_TO_RUN:
            continue
        if block.language != "sh" or block.how not in ("", "serve", "background", "given"):
            sys.exit(f"{place}: a block is `sh`, `sh serve`, `sh background TEXT`, or says `not-run` and why")
        yield f"at {shlex.quote(place)}"
        if block.how == "background":
            if not block.reason:
                sys.exit(f"{place}: say what it says when it is ready")
            yield f"background {shlex.quote(block.reason.strip())} {shlex.quote(block.code)}"
        elif block.how == "serve":
            command = block.code.splitlines()[0].split("#")[0].strip()
            yield f"serve {command}"
        else:
            yield block.code


def main() -> None:
    """See the module's text."""
    *options, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if options == ["--list"]:
        for block in blocks(text):
            if block.how == "not-run":
                print(f"not run: {path}:{block.line}: {block.reason}")
    else:
        print("\n".join(script(path, text)))


main()
