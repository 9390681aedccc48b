"""What several test modules share: pytest's own test bench, and patience with a busy machine."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# How fast a world is drawn or judged is the machine's business, and no reason to fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
