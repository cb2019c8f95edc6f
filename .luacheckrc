-- The functions that wrk calls in LuaJIT, and the globals that it or another thread sets or reads.
std = "luajit"
globals = { "setup", "init", "request", "delay", "response", "done", "exhausted" }
read_globals = { "wrk", "number" }
