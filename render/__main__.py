"""`python -m render` is `render`."""

from render.cli import main

main()
