"""What the launcher of a flex template runs; it takes a file, not a module."""

import sys

from pipelines.flex_template import main

sys.exit(main())
