"""What several test modules share: pytest's own test bench, one thread, and patience with a busy machine."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# Before torch is loaded. A second thread gains little in tests this small, and where another program wants the core
# waiting threads slow them down many times over.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# How fast a world is drawn or judged is the machine's business, and no reason to fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
