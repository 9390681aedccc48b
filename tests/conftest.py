"""What several test modules share: pytest's own test bench."""

pytest_plugins = ["pytester"]
