//! `RUST_LOG`: events on stderr, of this program and its core only, since other crates may log what they hold.

use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Starts telling events, if `RUST_LOG` asks for any.
pub fn start() {
    let Ok(wanted) = EnvFilter::try_from_default_env() else {
        return;
    };
    let ours = filter_fn(|event| event.target().starts_with("daybook"));
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_filter(wanted.and(ours));
    let _ = tracing_subscriber::registry().with(layer).try_init();
}
