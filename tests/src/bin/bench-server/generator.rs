//! The load: Debian's `wrk` over TLS connections that are kept open, each asking again as soon as it has
//! its answer. It needs little of the processors that it shares with the server.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use serde::Deserialize;

use crate::{Outcome, process::CpuTime, request::Request};

/// How long before a measurement the same load runs unmeasured.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// What one measurement gave.
pub(crate) struct Measured {
    pub(crate) requests_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Processor time of the server for each request.
    pub(crate) server_cpu_us: f64,
}

/// Who is measured.
pub(crate) struct Target<'a> {
    /// Such as `https://127.0.0.1:8443`.
    pub(crate) address: &'a str,
    /// The process whose processor time is counted.
    pub(crate) process: u32,
}

/// What `replay.lua` prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    requests: u32,
    micros: u32,
    p50_us: u32,
    p99_us: u32,
    refused: u32,
    failed: u32,
    /// The first request that no thread has sent.
    next: u64,
}

/// Sends the requests in turn, again and again, over so many connections. An answer that is not a success
/// fails the whole: refusals are quick, and would look like speed.
pub(crate) fn measure(
    target: &Target<'_>,
    requests: &[Request],
    connections: usize,
    length: Duration,
) -> Outcome<Measured> {
    let folder = tempfile::tempdir()?;
    let texts: Vec<String> = requests.iter().map(|request| request.text(target.address)).collect();
    fs::write(folder.path().join("requests"), texts.join("\0"))?;
    fs::write(folder.path().join("replay.lua"), include_str!("replay.lua"))?;
    let warm_up = wrk(folder.path(), target, (connections, 0), WARM_UP)?;
    let before = CpuTime::of(target.process)?;
    let printed = wrk(folder.path(), target, (connections, warm_up.next), length)?;
    let used = CpuTime::of(target.process)?.since(before);
    let count = f64::from(printed.requests.max(1));
    Ok(Measured {
        requests_per_s: count / f64::from(printed.micros.max(1)) * 1e6,
        p50_ms: f64::from(printed.p50_us) / 1e3,
        p99_ms: f64::from(printed.p99_us) / 1e3,
        server_cpu_us: used.as_secs_f64() * 1e6 / count,
    })
}

fn wrk(
    folder: &Path,
    target: &Target<'_>,
    (connections, first): (usize, u64),
    length: Duration,
) -> Outcome<Printed> {
    // One thread of wrk is too slow for the echo at many connections.
    let threads = thread::available_parallelism()?.get().min(connections);
    let mut command = Command::new("wrk");
    command.args(["--threads", &threads.to_string(), "--connections", &connections.to_string()]);
    command.args(["--duration", &format!("{}s", length.as_secs())]);
    command.args(["--timeout", "10s", "--script"]).arg(folder.join("replay.lua"));
    command.arg(target.address).env("BENCH_REQUESTS", folder.join("requests"));
    command.env("BENCH_FIRST", first.to_string()).env("BENCH_THREADS", threads.to_string());
    let output = command.output().map_err(|error| {
        format!("cannot run wrk ({error}): install it with `apt-get install wrk`")
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("measured "));
    let line = line.ok_or_else(|| {
        format!("wrk measured nothing: {text}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    let printed: Printed = serde_json::from_str(line)?;
    if printed.refused > 0 || printed.failed > 0 || printed.requests == 0 {
        return Err(format!("requests were refused or failed: {line}").into());
    }
    Ok(printed)
}
