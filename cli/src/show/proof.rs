//! What a proof of a fork shows, as text and as JSON.

use daybook_core::log::{Proof, Shown};
use serde_json::{Value, json};

/// `Proof`.
#[must_use]
pub fn json(proof: &Proof) -> Value {
    let (shows, log, branches, place) = match proof.shown() {
        Shown::Forks { log, branches, lowest } => ("forks", Some(log.to_hex()), Some(branches), Some(lowest)),
        Shown::Incarnations => ("incarnations", None, None, None),
    };
    json!({
        "incident": proof.incident().to_hex(),
        "device": proof.device().to_hex(),
        "shows": shows,
        "log": log,
        "branches": branches,
        "place": place,
    })
}

/// The same in sentences.
#[must_use]
pub fn text(proof: &Proof) -> String {
    let said = match proof.shown() {
        Shown::Forks { log, branches, lowest } => format!(
            "the device signed {branches} branches of one log; they differ from place {lowest} on\nlog:      {}\n",
            log.to_hex()
        ),
        Shown::Incarnations => format!("the device signed as {} installations, and 64 are allowed\n", proof.heads()),
    };
    format!("{said}device:   {}\nincident: {}\n", proof.device().to_hex(), proof.incident().to_hex())
}
