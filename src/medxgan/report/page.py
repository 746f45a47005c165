"""What every page is made of: templates, style sheets, and the policy that keeps it offline."""

from base64 import b64encode
from functools import cache
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined

from medxgan.report.figures import BRIGHTNESS, EVIDENCE, ZERO_INDEX, ColourMap, colour_table

GRADIENT_STOPS = 17


@cache
def environment() -> Environment:
    """The templates of this package; a name that a page leaves out is an error."""
    return Environment(
        loader=PackageLoader("medxgan.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def source(name: str) -> str:
    """A style sheet or script as written: nothing of the explanations enters it."""
    templates = environment()
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0]


def policy(style: str, script: str) -> str:
    """Content security policy: this style, this script and inline pictures; nothing else."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")


def gradient_rules() -> str:
    """Style of the colour bars and of the ground under the maps, from the tables of the maps."""
    rules = []
    names: dict[str, ColourMap] = {"brightness": BRIGHTNESS, "evidence": EVIDENCE}
    for name, colours in names.items():
        table = colour_table(colours)
        picked = [
            table[round(2 * ZERO_INDEX * stop / (GRADIENT_STOPS - 1))]
            for stop in range(GRADIENT_STOPS)
        ]
        stops = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in picked)
        red, green, blue = table[ZERO_INDEX]
        rules.append(f".bar.{name} {{ background: linear-gradient(to right, {stops}); }}\n")
        rules.append(f".ground.{name} {{ background: rgb({red} {green} {blue}); }}\n")
    return "".join(rules)
