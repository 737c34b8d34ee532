"""`python -m render` is `render`."""

from render.cli.main import main

main()
