-- The requests of wrk. Arguments: the operation, the folder with the seeds, the mean pause before a request in
-- milliseconds, the number of threads, and the random seed, so that each server of a round gets the same requests.

local random = math.random
local threads = {}
local readers, writers, stock = {}, {}, {}
local next_of_stock, step

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

-- Requests are joined from prepared parts: wrk.format would take more time than some servers.
local function send(method, path, user, body)
  local head = method .. " " .. path .. user.head
  if not body then return head .. "\r\n" end
  return head .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local function text()
  local body = '{"title":"Task %06d","description":"Some sixty characters, as many as people write of a task."}'
  return body:format(random(999999))
end

local function any(users)
  return users[random(#users)]
end

local function path_of_any(user)
  return "/api/tasks/" .. user.tasks[random(#user.tasks)]
end

local operations = {}

function operations.get()
  local user = any(readers)
  return send("GET", path_of_any(user), user)
end

function operations.list()
  return send("GET", "/api/tasks?limit=20", any(readers))
end

-- The pending tasks, which the readers have or have not: a list of one status reads other indexes than a list of all.
function operations.pending()
  return send("GET", "/api/tasks?limit=20&status=pending", any(readers))
end

function operations.patch()
  local user = any(readers)
  local body = random(2) == 1 and '{"completed":true}' or '{"completed":false}'
  return send("PATCH", path_of_any(user) .. "/complete", user, body)
end

function operations.toggle()
  local user = any(readers)
  return send("PATCH", path_of_any(user) .. "/complete", user)
end

function operations.put()
  local user = any(readers)
  return send("PUT", path_of_any(user), user, text())
end

-- By separate users, so that the lists of the readers keep their length.
function operations.post()
  return send("POST", "/api/tasks", any(writers), text())
end

operations.stock = operations.post

-- Each thread has its share of the tasks to delete. After the last one it only reads, and sets a global for `done`.
function operations.delete()
  local task = stock[next_of_stock]
  if not task then
    exhausted = true
    return operations.list()
  end
  next_of_stock = next_of_stock + step
  return send("DELETE", "/api/tasks/" .. task.id, task.user)
end

function operations.mixed()
  local dice = random(10)
  if dice <= 4 then return operations.get() end
  if dice <= 8 then return operations.list() end
  if dice == 9 then return operations.patch() end
  return operations.post()
end

-- Reads lines of words: a user's name, a token, and the ids of tasks.
local function read_users(file)
  local users, by_name = {}, {}
  for line in io.lines(file) do
    local name, token, ids = line:match("^(%S+) (%S+)(.*)$")
    local user = { tasks = {} }
    user.head = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nAuthorization: Bearer " .. token .. "\r\n"
    for id in ids:gmatch("%S+") do table.insert(user.tasks, id) end
    table.insert(users, user)
    by_name[name] = user
  end
  return users, by_name
end

local function read_stock(file, by_name)
  for line in io.lines(file) do
    local name, id = line:match("^(%S+) (%S+)$")
    table.insert(stock, { user = by_name[name], id = id })
  end
end

-- Records the created tasks for later deletions.
local function keep_stock(file)
  local out = io.open(file, "a")
  out:setvbuf("line")
  function response(status, _, body)
    if status ~= 201 then return end
    out:write(body:match('"user_id"%s*:%s*"(.-)"'), " ", body:match('"id"%s*:%s*"?([^",}]+)'), "\n")
  end
end

function init(arguments)
  local operation, folder, pause, all_threads, sequence = unpack(arguments)
  local by_name
  readers = read_users(folder .. "/readers")
  writers, by_name = read_users(folder .. "/writers")
  if operation == "stock" then keep_stock(folder .. "/stock") end
  if operation == "delete" then
    read_stock(folder .. "/stock", by_name)
    next_of_stock, step = number, tonumber(all_threads)
  end
  math.randomseed(sequence * 1000 + number)
  request = operations[operation]
  if tonumber(pause) > 0 then
    -- Exponential pauses make random arrivals at a fixed mean rate.
    function delay() return math.floor(-math.log(1 - random()) * pause + 0.5) end
  end
end

function done(summary, latency)
  local out_of_stock = false
  for _, thread in ipairs(threads) do out_of_stock = out_of_stock or thread:get("exhausted") end
  local errors = summary.errors
  local line = '\n{"requests": %d, "seconds": %f, "p50": %f, "p95": %f, "p99": %f, "errors": %d, "exhausted": %s}\n'
  io.write(line:format(
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    tostring(out_of_stock == true)))
end
