"""`northstar-mcp demo`: the whole job, over the wire, where anybody can watch it.

command.py    the options, and what is done before and after
processes.py  the simulator and the server, as processes of their own
job.py        what is asked of Northstar, with the simulator and live
story.py      the job, step by step, through the SDK's own client
evidence.py   what must have come over the wire
stage.py      how it looks
picture.py    the screenshot, as a file
"""
