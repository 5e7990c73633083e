"""When this process loaded relaxdsl: what changed on the disk since then is not what it runs."""

import time

LOADED_AT_S = time.time()
