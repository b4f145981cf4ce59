"""`python -m segtween` is the command `segtween`."""

from segtween.cli import main

if __name__ == "__main__":
    main()
