"""Entry point of `python -m ratio_hpo`."""

from ratio_hpo.cli import main

if __name__ == "__main__":
    main()
