"""The local page (`commands/app.py`): what `apply` and `occlude` make of pictures and videos, in a browser.

| file | what |
|---|---|
| `tasks.py` | what can be done: the trained experiments of `results/`, and `occlude`; each with its controls |
| `server.py` | requests: who may ask, the form as words of a command line, the files of what was made |
| `jobs.py` | one job after another; their folders, which do not outlive them |
| `worker.py` | the process that does the jobs: it is replaced when it dies of a hostile file |
| `templates/`, `static/` | what the browser gets; nothing comes from elsewhere |
"""
