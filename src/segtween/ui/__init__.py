"""`segtween ui`: a page in the browser that segments videos, shows the result, and labels frames.

| module | what it is |
| --- | --- |
| `command` | `segtween ui` |
| `server` | the application from its parts, and the server that runs it |
| `guard` | who may ask: host, origin, token, session |
| `answers` | JSON answers, and errors as one line with a status |
| `sessions` | the sessions of browsers, each with a folder of its own |
| `jobs` | the queue: one job at a time, others wait and know their place |
| `videos`, `video_routes` | videos of a session: uploaded, rendered, recorded |
| `runs`, `run_routes` | a run, and what its result shows |
| `live` | a camera, a stream or a video at its rate, with labels |
| `labelling`, `label_upload`, `labelling_routes` | labels that a person makes of some frames, propagated to all |
| `static/` | the page: HTML, CSS and JavaScript modules, without a build step |

The player, the charts and the style are those of the reports (`reports.html`).
"""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine that no other machine reaches."""
