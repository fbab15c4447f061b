"""The analysis over HTTP and WebSocket; needs the extra `serve`.

`server` runs it; `app` routes; `access` says who may; `uploads` receives a recording,
`analyses` analyses it; `sessions` are streams; `limits` bounds all of them.
"""
