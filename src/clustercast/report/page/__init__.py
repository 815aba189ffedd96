"""Reports to keep: one page that needs no network and no script, or its contents as Markdown, CSV, a spreadsheet.

`sections.py` puts a report into sections of words, pictures, tables and commands; `html.py`, `text.py`, `sheet.py` and
`picture.py` write them. A section that has nothing to say is left out.
"""

from clustercast.report.page.parts import Grid, Page, Section
from clustercast.report.page.save import SUFFIXES, check, page_of, save

__all__ = ["SUFFIXES", "Grid", "Page", "Section", "check", "page_of", "save"]
