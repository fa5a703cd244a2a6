"""The long captions, `workflow/report/<name>.rst`, which Snakemake's own report shows too."""

from __future__ import annotations

from pathlib import Path

from docutils.core import publish_parts
from docutils.utils import SystemMessage
from markupsafe import Markup

from toporep.errors import TopoRepError

_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "embed_stylesheet": False,
    "smart_quotes": False,
    "syntax_highlight": "none",
    "math_output": "MathML",
    "halt_level": 3,
    "report_level": 3,
    "warning_stream": False,
    "_disable_config": True,
}


def details(path: Path) -> Markup:
    """A caption as HTML, without its first line in bold, which repeats the title; nothing where there is no file.

    Raises:
        TopoRepError: the file is not valid reStructuredText.
    """
    if not path.is_file():
        return Markup("")
    paragraphs = path.read_text(encoding="utf-8").split("\n\n")
    text = "\n\n".join(paragraphs[1:] if paragraphs[0].lstrip().startswith("**") else paragraphs)
    try:
        parts = publish_parts(text, source_path=str(path), writer="html5", settings_overrides=_SETTINGS)
    except SystemMessage as error:
        raise TopoRepError(f"{path}: not valid reStructuredText ({error})") from error
    return Markup(parts["fragment"])
