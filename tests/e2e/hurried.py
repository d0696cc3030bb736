"""The server as a process that names its chats at once, not after seconds: `python -m tests.e2e.hurried`."""

import sys
from functools import partial
from unittest.mock import patch

from app import main
from app.__main__ import main as run

if __name__ == "__main__":
    with patch.object(main, "open_program", partial(main.open_program, title_delay=0.02)):
        sys.exit(run([]))
