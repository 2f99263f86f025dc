"""`python -m sevenfold` is `sevenfold`."""

from sevenfold.cli import main

main()
