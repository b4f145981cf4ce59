"""Tables and pictures for papers and documents: an edge, which nothing in the library imports.

| member | what it makes |
| --- | --- |
| `tables` | accuracy, speed and temporal consistency, as Markdown, CSV, JSON and plots |
| `figures` | pictures of what a method does, side by side |
| `advice` | how to run one video, without labels |
"""
