//! `serve`: lets other devices of the incident sync with this book.

use clap::Args;
use daybook_core::net::{self, NetError, NetLimits, Notice};
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::output::{Output, Reply};
use crate::show::meeting;

/// Let other devices of the incident sync with this book
#[derive(Debug, Args)]
#[command(after_help = "\
Runs until Ctrl-C. Meanwhile this computer may write on: what any command writes goes out within a second.
Only devices that were enrolled are answered; others learn nothing, not even which incident this is.

Example:
  daybook serve --listen 127.0.0.1:0")]
pub struct Serve {
    /// Address and port to be called at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7373")]
    listen: String,
}

/// What all connections did together.
#[derive(Default)]
struct Sum {
    connections: u64,
    sent: u64,
    received: u64,
    bytes: u64,
}

/// Runs it.
///
/// # Errors
/// When the address cannot be used, or the book has to be opened again.
pub fn run(args: &Serve, context: &mut Context) -> Answer {
    let book = context.open()?;
    let json = context.output().json;
    let mut sum = Sum::default();
    let served = net::serve(book, &args.listen, NetLimits::default(), net::asked_to_stop(), &mut |notice| {
        if let Notice::Ended(report) = &notice {
            sum.connections += 1;
            sum.sent += report.sent;
            sum.received += report.received;
            sum.bytes += report.bytes_sent + report.bytes_received;
        }
        tell(&notice, json);
    });
    served.map_err(|error| failure(error, &args.listen))?;
    let object = json!({
        "connections": sum.connections,
        "sent": sum.sent,
        "received": sum.received,
        "bytes": sum.bytes,
    });
    let text = format!(
        "{} connections: {} entries came and {} went; all of it is safe",
        sum.connections, sum.received, sum.sent
    );
    Ok(Reply::new(object, text))
}

/// Prints what happens, a line each. A reader that went away does not stop the work.
pub fn tell(notice: &Notice, json: bool) {
    let _ = if json {
        meeting::event(notice).map_or(Ok(()), |event| Output::print_progress(&event))
    } else {
        meeting::line(notice).map_or(Ok(()), |line| Output::print_line(&line))
    };
}

/// What stands in the way of reaching anybody.
#[must_use]
pub fn failure(error: NetError, address: &str) -> Failure {
    match error {
        NetError::Book(error) => error.into(),
        NetError::Listen(source) => {
            let taken = source.kind() == std::io::ErrorKind::AddrInUse;
            let next = if taken {
                "another program uses this port, perhaps `daybook serve` itself; choose another with --listen"
            } else {
                "check the address after --listen"
            };
            Failure::environment("cannot-listen", "this computer cannot be called at this address")
                .because(source)
                .then(next)
        }
        NetError::Address(source) => Failure::usage("unknown-address", "the address is not known")
            .because(source)
            .then("give the number of the other computer, as 10.0.0.7 or 10.0.0.7:7373"),
        NetError::NoAnswer(source) => {
            Failure::environment("no-answer", "nobody answers at this address").because(source).then(format!(
                "check that `daybook serve` runs there and that both computers are in one network ({})",
                crate::show::text::safe(address)
            ))
        }
        NetError::Command(source) => Failure::environment("no-command", "the command cannot be run")
            .because(source)
            .then("try the command alone, followed by `true`"),
        error => Failure::environment("system", "the operating system gives no socket or thread")
            .because(error)
            .then("close other programs and try again"),
    }
}
