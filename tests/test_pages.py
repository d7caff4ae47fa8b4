"""What the pages share."""

import pytest
from jinja2 import UndefinedError

from lcseg.classes import SCHEMES
from lcseg.pages import page_environment, write_page

HEAD = '{% import "parts.html" as parts %}{{ parts.head(title) }}'


def test_a_template_takes_the_head_and_pieces_that_all_pages_share(tmp_path):
    template = page_environment().from_string(HEAD + "{{ parts.legend(scheme) }}")
    html = template.render(title="a < b", scheme=SCHEMES["chesapeake-4"])
    write_page(tmp_path / "new" / "page.html", html)
    text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert text == html
    assert "<title>a &lt; b</title>" in text
    assert "--color: #1F78C8" in text


def test_numbers_are_shown_as_people_write_them():
    template = page_environment().from_string(
        "{{ a | percent }} {{ b | percent }} {{ c | thousands }}"
    )
    assert template.render(a=0.12345, b=None, c=1234567) == "12.3 – 1,234,567"


def test_packages_bring_templates_and_filters_of_their_own():
    environment = page_environment("lcseg.evaluation", score=lambda score: f"{score:.1f}!")
    assert environment.from_string("{{ 0.25 | score }}").render() == "0.2!"
    assert "scores.html" in environment.list_templates(["html"])
    assert "scores.html" not in page_environment().list_templates(["html"])


def test_a_name_that_nobody_gave_is_an_error():
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        page_environment().from_string("{{ title }}").render()
