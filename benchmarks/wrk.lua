-- the request that loadgen sends
wrk.method = "POST"
wrk.body = '{"k":"v"}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-CFF-Request-Version"] = "v0"
