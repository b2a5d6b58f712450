//! What every HSM must do.
