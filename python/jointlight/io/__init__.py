# SPDX-License-Identifier: BSD-3-Clause
"""Files: results as ASDF and FITS, jobs as TOML."""

from jointlight.io.job import Job, JobError, read_job
from jointlight.io.products import write_fits
from jointlight.io.results import load, write_result

__all__ = ["Job", "JobError", "load", "read_job", "write_fits", "write_result"]
