"""Import this before TensorFlow or Beam: keeps their start-up chatter out of the terminal."""

from __future__ import annotations

import logging
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Kaggle's client asks its server for a newer version of itself on import.
os.environ.setdefault("KAGGLE_DISABLE_VERSION_CHECK", "1")
# Beam warns through the root logger of `crcmod`, in whose place google-crc32c serves, and of memory
# figures it could not take.
logging.getLogger().addFilter(
    lambda record: (
        not any(
            known in record.getMessage() for known in ("crcmod", "Resource module is not available")
        )
    )
)
logging.getLogger("apache_beam").setLevel(logging.ERROR)
logging.getLogger("tensorflow").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".*pkg_resources.*")
warnings.filterwarnings("ignore", category=FutureWarning, message="You are using a Python version")
