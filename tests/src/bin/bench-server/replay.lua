-- wrk's part: sends the requests of a file one after the other, from a given one on, and prints what was
-- measured. No two threads send the same one, until all have been sent.

local threads = {}
local count = tonumber(os.getenv("BENCH_THREADS"))

function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

function init()
  prepared = {}
  local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
  for text in file:read("*a"):gmatch("%Z+") do
    prepared[#prepared + 1] = text
  end
  file:close()
  at = tonumber(os.getenv("BENCH_FIRST")) + number
end

function request()
  local text = prepared[at % #prepared + 1]
  at = at + count
  return text
end

function done(summary, latency)
  local errors, next = summary.errors, 0
  for _, thread in ipairs(threads) do
    next = math.max(next, thread:get("at"))
  end
  io.write(string.format(
    'measured {"requests":%d,"micros":%d,"p50_us":%d,"p99_us":%d,"refused":%d,"failed":%d,"next":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, next))
end
