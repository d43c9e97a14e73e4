"""Docstrings as they are written in the code, made fit for Markdown: Sphinx roles and sessions outside `Examples`."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):(?=`)")
SESSION = re.compile(r"^>>> .*(?:\n(?!\n).*)*", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Drop roles from all docstrings; fence the sessions of modules, whose docstrings have no sections."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is None:
            return
        text = ROLE.sub("", obj.docstring.value)
        if obj.is_module:
            text = SESSION.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
        obj.docstring.value = text
