"""Two policies before a judge, blind: acted, asked, counted, and shown on a page."""
