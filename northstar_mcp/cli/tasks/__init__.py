"""`northstar-mcp tasks`: the tasks that were handed over, from any host or terminal of this user.

command.py     the commands and their options
finding.py     ids that a person shortened
catching_up.py what happened at Lightcone while nobody here was looking
table.py       `list` as a table
sheet.py       `show` as a page
"""
