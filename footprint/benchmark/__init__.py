"""What a model takes under a stated load: the benchmark protocol, its results, and what they say of two models.

schedule.py    which points are measured, in which order (pure)
endpoint.py    the protocol of an OpenAI-compatible endpoint: one streamed answer and its instants
load.py        keeps so many requests in flight until a point is long enough
steady.py      the steady state of a point (pure)
sensing.py     the energy of a stretch: sensors of this host, or the ledger's readings of another
grading.py     a grader of the user's own: prompts and answers go to it and nowhere else
running.py     the whole benchmark, point by point, each on disk when it is done
document.py    a result: points and conditions, as a JSON document
levels.py      points of one concurrency put together, with intervals (pure)
fit.py         energy per token = a + b / batch (pure)
contrast.py    two results: is there a difference? (pure); merging.py: for a merge request
record.py      result files: written whole, signed, checked, kept beside the sealed days
rows.py        what pages, the API and notebooks read: results as rows
references.py  public references, other hardware and other load
"""

from footprint.benchmark.reference_results import reference_rows
from footprint.benchmark.result_rows import COLUMNS, benchmark_rows, rows_of_result

__all__ = ["COLUMNS", "benchmark_rows", "reference_rows", "rows_of_result"]
