//! Counters for Prometheus. Labels come from closed vocabularies alone, never from a request.
//!
//! A label that a request could choose would let anybody fill the memory with counters, and put
//! names of keys and people where they do not belong.

use std::{sync::Arc, time::Duration};

use keyhaven_engine::alarm::Alarms;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// What a request came to, as labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Labels {
    /// The operation's name; `none` when the request named none.
    pub(crate) operation: &'static str,
    /// `ok`, or the refusal's code.
    pub(crate) outcome: &'static str,
}

/// The server's counters.
pub(crate) struct Metrics {
    /// Of this server alone: there is no global one.
    registry: Registry,
    /// `keyhaven_requests_total`.
    requests: IntCounterVec,
    /// `keyhaven_request_duration_seconds`. By operation only: outcomes would multiply its buckets.
    duration: HistogramVec,
    quarantined: IntGauge,
    rolled_back: IntGauge,
    alarms: Arc<Alarms>,
}

impl Metrics {
    /// Counters at zero, and what is to be told of the alarms.
    ///
    /// # Errors
    /// As the registry, which refuses two counters of one name.
    pub(crate) fn new(alarms: Arc<Alarms>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("keyhaven_requests_total", "Requests answered, by operation and outcome."),
            &["operation", "outcome"],
        )?;
        // 14 bounds, each twice the last: 0.5 ms to 4.096 s.
        let buckets = prometheus::exponential_buckets(0.0005, 2.0, 14)?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "keyhaven_request_duration_seconds",
                "From the request's head to its answer, by operation.",
            )
            .buckets(buckets),
            &["operation"],
        )?;
        // The registry holds copies that count together with these.
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        let quarantined = IntGauge::new(
            "keyhaven_quarantined_rows",
            "Rows refused because somebody tampered with them.",
        )?;
        let rolled_back = IntGauge::new(
            "keyhaven_store_rolled_back",
            "1 when the store was put back to an older state and everything is refused.",
        )?;
        registry.register(Box::new(quarantined.clone()))?;
        registry.register(Box::new(rolled_back.clone()))?;
        Ok(Self { registry, requests, duration, quarantined, rolled_back, alarms })
    }

    /// Counts one request.
    pub(crate) fn count(&self, labels: Labels, took: Duration) {
        self.requests.with_label_values(&[labels.operation, labels.outcome]).inc();
        self.duration.with_label_values(&[labels.operation]).observe(took.as_secs_f64());
    }

    /// In Prometheus' text format.
    /// Version 0.0.4 of the format. A counter that was never touched is not in it.
    pub(crate) fn text(&self) -> String {
        self.quarantined.set(i64::try_from(self.alarms.quarantined()).unwrap_or(i64::MAX));
        self.rolled_back.set(i64::from(self.alarms.rolled_back()));
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_outcome() {
        let metrics = Metrics::new(Arc::default()).unwrap();
        let labels = Labels { operation: "Encrypt", outcome: "ok" };
        metrics.count(labels, Duration::from_millis(3));
        metrics.count(labels, Duration::from_millis(3));
        let text = metrics.text();
        let line = "keyhaven_requests_total{operation=\"Encrypt\",outcome=\"ok\"} 2";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("keyhaven_request_duration_seconds_count{operation=\"Encrypt\"} 2"));
    }

    #[test]
    fn outcomes_are_counted_apart_and_durations_by_operation() {
        let metrics = Metrics::new(Arc::default()).unwrap();
        for (operation, outcome, took_ms) in
            [("Encrypt", "ok", 1), ("Encrypt", "access_denied", 1), ("Decrypt", "ok", 60_000)]
        {
            metrics.count(Labels { operation, outcome }, Duration::from_millis(took_ms));
        }
        let text = metrics.text();
        for line in [
            "keyhaven_requests_total{operation=\"Encrypt\",outcome=\"ok\"} 1",
            "keyhaven_requests_total{operation=\"Encrypt\",outcome=\"access_denied\"} 1",
            "keyhaven_request_duration_seconds_count{operation=\"Encrypt\"} 2",
            "keyhaven_request_duration_seconds_bucket{operation=\"Encrypt\",le=\"0.001\"} 2",
            "keyhaven_request_duration_seconds_bucket{operation=\"Decrypt\",le=\"4.096\"} 0",
            "keyhaven_request_duration_seconds_bucket{operation=\"Decrypt\",le=\"+Inf\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn counters_that_were_never_touched_are_not_there() {
        let text = Metrics::new(Arc::default()).unwrap().text();
        let values: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(values, ["keyhaven_quarantined_rows 0", "keyhaven_store_rolled_back 0"]);
    }
}
