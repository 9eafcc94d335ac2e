"""`python -m subnetbench`: the command line."""

from .bench.cli.main import main

main()
