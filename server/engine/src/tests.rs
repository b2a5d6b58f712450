//! The engine as a whole, over memory fakes of its ports.

mod access;
mod certificates;
mod concurrency;
mod contexts;
mod faults;
mod gate;
mod hsm_faults;
mod identities;
mod late_reads;
mod leftovers;
mod life;
mod limits;
mod lists;
mod policies;
mod records;
mod repetition;
mod replays;
mod rights;
mod stage;
mod starting;
mod suites;
mod tampering;
mod tickets;
mod world;
