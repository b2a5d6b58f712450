//! The engine as a whole, over memory fakes of its ports.

mod access;
mod gate;
mod leftovers;
mod life;
mod policies;
mod tickets;
mod world;
