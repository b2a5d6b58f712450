//! Counting what test runners report.

use std::iter::Sum;

/// How a runner says how many tests passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `test result: ok. 3 passed; 0 failed; …`, once for each test program.
    Cargo,
    /// `# pass 3` (TAP) or `ℹ pass 3` (spec), once at the end.
    Node,
}

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Counts {
    /// A runner that could not even report.
    pub(super) const ONE_FAILED: Self = Self { passed: 0, failed: 1 };
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, one| Self {
            passed: sum.passed.saturating_add(one.passed),
            failed: sum.failed.saturating_add(one.failed),
        })
    }
}

/// The count of one runner so far.
#[derive(Debug)]
pub(super) struct Tally {
    dialect: Dialect,
    counts: Counts,
    cancelled: u64,
    reported: bool,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, counts: Counts::default(), cancelled: 0, reported: false }
    }

    /// Reads one line of the runner's output.
    pub(super) fn line(&mut self, line: &str) {
        match self.dialect {
            Dialect::Cargo => self.cargo(line),
            Dialect::Node => self.node(line),
        }
    }

    /// The runner has ended. One that fails, or ends, without saying why counts as a failed test.
    pub(super) fn finish(self, success: bool) -> Counts {
        let Counts { passed, failed } = self.counts;
        let failed = failed.saturating_add(self.cancelled);
        let silent = !self.reported || (!success && failed == 0);
        Counts { passed, failed: failed.saturating_add(u64::from(silent)) }
    }

    fn cargo(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let count = |what: &str| {
            let words: Vec<&str> = result.split([' ', ';', '.']).collect();
            words.windows(2).find_map(|pair| match pair {
                [number, word] if *word == what => number.parse().ok(),
                _ => None,
            })
        };
        if let (Some(passed), Some(failed)) = (count("passed"), count("failed")) {
            self.reported = true;
            let one = Counts { passed, failed };
            self.counts = [self.counts, one].into_iter().sum();
        }
    }

    /// The last line of a kind counts: tests print, and what they print may look like a summary.
    fn node(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else {
            return;
        };
        let mut words = rest.split(' ');
        let (Some(what), Some(number), None) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let Ok(number) = number.parse() else { return };
        match what {
            "pass" => self.counts.passed = number,
            "fail" => self.counts.failed = number,
            "cancelled" => self.cancelled = number,
            _ => return,
        }
        self.reported = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(dialect: Dialect, output: &str, success: bool) -> (u64, u64) {
        let mut tally = Tally::new(dialect);
        output.lines().for_each(|line| tally.line(line));
        let counts = tally.finish(success);
        (counts.passed, counts.failed)
    }

    #[test]
    fn cargos_test_programs_add_up() {
        let output = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      noise\n\
                      test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured\n";
        assert_eq!(counts(Dialect::Cargo, output, false), (7, 3));
    }

    #[test]
    fn nodes_summary_counts_in_both_reporters() {
        let tap = "TAP version 13\n# Subtest: x\n# tests 4\n# pass 3\n# fail 1\n# cancelled 0\n";
        assert_eq!(counts(Dialect::Node, tap, false), (3, 1));
        assert_eq!(counts(Dialect::Node, "ℹ pass 3\nℹ fail 0\nℹ cancelled 2\n", false), (3, 2));
    }

    #[test]
    fn a_test_that_prints_like_a_summary_is_overruled_by_the_real_one() {
        assert_eq!(counts(Dialect::Node, "# pass 900\n# pass 3\n# fail 0\n", true), (3, 0));
    }

    #[test]
    fn a_runner_that_dies_counts_as_one_failed() {
        assert_eq!(counts(Dialect::Cargo, "error: could not compile\n", false), (0, 1));
        assert_eq!(counts(Dialect::Cargo, "test result: ok. 5 passed; 0 failed;\n", false), (5, 1));
    }

    #[test]
    fn a_runner_that_ran_nothing_counts_as_one_failed() {
        assert_eq!(counts(Dialect::Node, "", true), (0, 1));
    }
}
