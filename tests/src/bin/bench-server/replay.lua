-- wrk's part: sends the requests of a file one after the other, and prints what was measured.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  prepared = {}
  local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
  for text in file:read("*a"):gmatch("%Z+") do
    prepared[#prepared + 1] = text
  end
  file:close()
  at = number
end

function request()
  at = at % #prepared + 1
  return prepared[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'measured {"requests":%d,"micros":%d,"p50_us":%d,"p99_us":%d,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
