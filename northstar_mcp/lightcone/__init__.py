"""The Lightcone API: requests, wire models, frames, retries, and the adapter that gives the core its `Agent`.

Nothing is imported here, so that a server that is only asked for its tools never loads httpx. The public names are
`client.LightconeClient`, `params.StartParams`, `params.ComputerParams`, `events` (what a stream carries) and
`agent.LightconeAgent`.
"""
