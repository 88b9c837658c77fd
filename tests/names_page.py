"""The page of the documentation that lists the names which the shipped policy knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/how-to/privacy-names.md"
_POLICIES = ROOT / "include/pismo_lake/settings/policies"
_DONE = {"drop": "removed", "hash": "hashed", "year": "reduced to the year", "scan": "kept, card numbers in it masked"}
_HEAD = """# Names that `privacy: strict` knows

This page lists the names by which the shipped policy knows personal fields. `scripts/list-privacy-names` writes it
from
`include/pismo_lake/settings/policies/strict.yaml`; a test compares the two.

A key is split into words at signs, digits and changes of case. Case, accents and the plural do not count:
`cardHolderName`,
`card-holder_name`, `CARDHOLDERNAME` and `cardholdername` are the same words. A key in one piece is split only if
known
words fill it: `shipping` has no word `pin`. A field has a name if its key has all words of the name, one behind the
other, among others or not. "The whole key" means that the key has no other words, except a number, or `new`, `old`
and
the like. If a word for a property follows (`pin_type`, `email_verified`), the field is kept.

The rules with a path in `strict.yaml` come before these lists: they are the fields of Pismo's event pages. A rule of
your
own comes before both.
"""
_SOURCES = """
## Sources

- Pismo's event pages (the fields of each event): the rules with a path.
- GDPR, articles 4 and 9, and the Brazilian LGPD, article 5: kinds of personal and of special data.
- PCI DSS 4.0, requirement 3: cardholder data and sensitive authentication data.
- Google Cloud Sensitive Data Protection, reference of infoTypes; Microsoft Purview, sensitive information types;
  Microsoft
  Presidio, supported entities: identity documents by country, devices, secrets.
- The short forms of Brazilian databases (`nm` and `no` for *nome*, `nr` and `nu` for *número*, `dt` for *data*): the
  data dictionaries of the files that INEP (`NO_MUNICIPIO`, `NU_INSCRICAO`) and the TSE (`NM_CANDIDATO`,
  `NR_CPF_CANDIDATO`, `DT_NASCIMENTO`) publish.
- ISO 8583 and EMV: the names of fields of card messages.
- Wikipedia, "Payment card number", and the BIN rules of the networks: prefixes and lengths of card numbers.
"""


def names_page() -> str:
    """Return the page as the policy's files say it."""
    policy = yaml.safe_load((_POLICIES / "strict.yaml").read_text(encoding="utf-8"))
    words = yaml.safe_load((_POLICIES / "words.yaml").read_text(encoding="utf-8"))
    parts = [_HEAD, *(_section(rule) for rule in policy["rules"] if "names" in rule)]
    person = ", ".join(f"`{word}`" for word in _listed(policy["words"]["person"]))
    parts.append(f"## Words for a person\n\n`<person>` in a name is each of these: {person}.\n")
    pessoa, number = (", ".join(f"`{word}`" for word in _listed(policy["words"][name])) for name in ("pessoa", "nr"))
    parts.append(f"`<pessoa>`, in names with `no` for *nome*, is each of these: {pessoa}.\n")
    parts.append(f"## Words for a number\n\n`<nr>` in a name is each of these: {number}.\n")
    properties = ", ".join(f"`{word}`" for word in words["properties"].split())
    parts.append(f"## Words for a property\n\nA field is kept if one of these follows the name: {properties}.\n")
    heads = ", ".join(f"`{word}`" for word in words["heads"].split())
    parts.append(f"The same if the key begins with one of these: {heads}.\n")
    return "\n".join(parts) + _SOURCES


def _section(rule: dict[str, Any]) -> str:
    title = rule.get("about", "Kept: names of things")
    notes = [_DONE[rule["action"]]]
    notes += ["the whole key"] if rule.get("alone") else []
    notes += ["values right under it, not objects"] if rule.get("values") else []
    below = ", ".join(f"`{name}`" for name in _listed(rule.get("below", "")))
    names = ", ".join(f"`{name}`" for name in _listed(rule["names"]))
    where = f" below a key with one of {below}" if below else ""
    return f"## {title}\n\n*{'; '.join(notes)}*{where}\n\n{names}\n"


def _listed(names: str | list[str]) -> list[str]:
    texts = names.split(",") if isinstance(names, str) else names
    return [" ".join(text.split()) for text in texts if text.strip()]
