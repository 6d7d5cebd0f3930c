"""A report as a document, in every form that finance asks for.

`forms` makes each of them, and `mail` what is mailed; `rows` is what goes into every spreadsheet. What draws and what
writes workbooks is imported by those alone who need it.
"""
