"""The pages in a browser: people judge, audit and overrule; a run is watched and steered."""
