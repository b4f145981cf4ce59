"""Measured figures of the documents: run their commands, keep what they print as JSON, write the tables from it.

    python tools/measured list                        the measurements and what is known of them
    python tools/measured run NAME ... [--data CamVid=/where/it/is]
    python tools/measured run --missing               those that have no JSON yet
    python tools/measured write                       the tables in README.md and docs/
    python tools/measured draw                        the pictures of docs/measured/pictures.yaml (needs [figures])
    python tools/measured check                       exits with 1 where a table is not what its JSON says, and where
                                                      the JSON is not what its command printed

In `docs/measured/`: `measurements.yaml` names each measurement's command, the file in which the command leaves its
figures, and the minutes that it takes on two slow cores; `data.yaml` the data that the commands name; `NAME.json` the
figures with everything that has to be known of how they came about; `views.yaml` which rows and columns of them a
table shows. In a document

    <!-- measured: VIEW --> ... <!-- /measured -->                    is a table or what the command printed
    <!-- value: NAME PATH FORMAT -->75.6<!-- /value -->               is one figure in a sentence or cell

A table or a printed block outside of such marks, indented or quoted as it may be, holds no decimal fractions, times,
ratios and percentages, and no cell that is a whole number, unless `<!-- not measured: REASON -->` stands above it. Nor
does a paragraph or list hold what reads like a result: a time, a rate, a ratio, a percentage, points, memory, or a
decimal fraction in a sentence with the name of a measure.
Below a table that shows intervals stands what they rest on, as its command printed it.

A view:

    of: NAME                     the measurement, or a committed YAML or JSON file, such as a network's record
    columns: [row, avg_miou]     keys of the columns that `segtween table` itself shows, or
    columns: {mIoU: "{miou:%}"}  heading: format of a row's fields (class `Figures`)
    rows: [rows]                 paths of rows in the figures; by_name: true for a mapping of names to values
    where: {interval: [4, 9]}    only rows with one of these values
    names: {path: "`path`"}      other texts for first cells
    parts: [{of: ..., ...}]      several of these below each other; with: {data: CamVid} adds fields
    beside: {street: NAME}       the figures of other measurements as fields: {street.every_frame.per_class.$name:%},
                                 where $name is the row's field
    printed: REGEX               in place of all that: those lines of what the command printed
"""

from measured.cli import main

__all__ = ["main"]
