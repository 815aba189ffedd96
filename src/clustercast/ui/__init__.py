"""A page and an HTTP API on this machine: what the command line answers, to look at and to drag.

    questions.py  what a request may hold, checked
    answers.py    one question to one JSON document, by the same calls as the command line's
    live.py       the crossover map as fast as a slider moves
    files.py      chips and launch files to take away
    worker.py     a process that answers, one question after another
    pool.py       some of them behind a queue, a memory of answers, a time limit on each
    guard.py      who may ask: this machine's own page, nothing larger than a page needs
    app.py        the addresses; schemas.py describes them
    server.py     `clustercast ui`
    static/       the page: plain HTML, CSS and JavaScript, nothing from elsewhere

Nothing here knows the command line, and nothing else imports this.
"""
