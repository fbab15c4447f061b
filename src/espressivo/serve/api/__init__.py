"""HTTP and WebSocket API of the analysis (extra `serve`).

`server` runs it, `app` defines the routes, `guard` and `security` admit requests,
`uploads` receives recordings, `recordings` analyses them, `stream_session` serves one
stream, and `limits` bounds all of them; `shares` and `connections` bound each client.
"""
