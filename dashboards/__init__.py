"""What people see: Dash pages that only read, through the query that the command line and the API use.

app.py        mounts Dash on the API's application; the language of each request
pages/        one page a file, listed in app.PAGES
figures.py    pure: rows -> Plotly figures      cards.py  pure: figures, bars and tables as components
numbers.py    numbers, units and dates as the reader writes them      words.py  every sentence, in French and English
"""
