//! Serving a book over TCP, and calling another.

use super::clerk::Clerk;
use super::notice::{NetError, Notice, Report};
use super::stream::carry;
use super::{NetLimits, PORT};
use crate::daybook::{Daybook, Error};
use crate::sync::{Reason, Side};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long sessions may take to end in order when a server stops.
const STOP: Duration = Duration::from_secs(6);

/// Serves the book to all who know the incident's admission secret and prove their membership, until `stop`
/// is ready. `tell` hears what happens, first where the server can be called.
///
/// # Errors
/// [`NetError::Listen`]; [`NetError::Book`] if the book has to be opened again.
pub fn serve(
    book: Daybook,
    listen: &str,
    limits: NetLimits,
    stop: impl Future<Output = ()>,
    tell: &mut dyn FnMut(Notice),
) -> Result<(), NetError> {
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(with_port(listen)).await.map_err(NetError::Listen)?;
        tell(Notice::Listening(listener.local_addr().map_err(NetError::Listen)?));
        let (told, mut notices) = unbounded_channel();
        let clerk = Clerk::start(book, limits.session, told.clone())?;
        let accepting = tokio::spawn(accept(listener, clerk.clone(), limits, told));
        let mut stop = std::pin::pin!(stop);
        let served = loop {
            tokio::select! {
                () = &mut stop => break Ok(()),
                notice = notices.recv() => match notice {
                    Some(notice) => {
                        let fatal = is_fatal(&notice);
                        tell(notice);
                        if fatal {
                            break Err(Error::Poisoned.into());
                        }
                    }
                    None => break Err(Error::Bug("the book's thread ended").into()),
                },
            }
        };
        accepting.abort();
        clerk.stop();
        drop(clerk);
        let rest = async {
            while let Some(notice) = notices.recv().await {
                tell(notice);
            }
        };
        let _ = tokio::time::timeout(STOP, rest).await;
        served
    });
    runtime.shutdown_background();
    served
}

/// Whether the book refuses everything until it is opened again.
fn is_fatal(notice: &Notice) -> bool {
    matches!(notice, Notice::Ended(Report { reason: Reason::Book(trouble), .. }) if trouble.0 == Error::Poisoned.to_string())
}

/// Takes in callers, as many as may be here at one time.
async fn accept(listener: TcpListener, clerk: Clerk, limits: NetLimits, told: UnboundedSender<Notice>) {
    let here: Arc<Mutex<BTreeMap<IpAddr, usize>>> = Arc::default();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "a caller was not taken in");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let ip = address.ip();
        let taken = {
            let mut here = here.lock().unwrap_or_else(PoisonError::into_inner);
            let (all, own): (usize, usize) = (here.values().sum(), here.get(&ip).copied().unwrap_or_default());
            let room = all < limits.connections && own < limits.connections_per_address;
            if room {
                here.insert(ip, own + 1);
            }
            room
        };
        if !taken {
            let _ = told.send(Notice::TurnedAway { from: address.to_string() });
            continue;
        }
        let (clerk, here) = (clerk.clone(), Arc::clone(&here));
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let (reader, writer) = stream.into_split();
            carry(&clerk, Side::Called, true, address.to_string(), reader, writer).await;
            let mut here = here.lock().unwrap_or_else(PoisonError::into_inner);
            match here.get(&ip).copied() {
                Some(own) if own > 1 => {
                    here.insert(ip, own - 1);
                }
                _ => {
                    here.remove(&ip);
                }
            }
        });
    }
}

/// Ready when the person at the keyboard or the system asks this program to stop.
pub async fn asked_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Whom to sync with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dial<'a> {
    /// A server, as `host` or `host:port`.
    Host(&'a str),
    /// The first of some servers that answers.
    FirstOf(&'a [String]),
    /// Whoever is at the other end of standard input and output, and calls.
    Stdio,
    /// A command that a shell runs and that speaks by its standard input and output, as `ssh` does.
    Command(&'a str),
}

/// When to end a sync that does not end by itself.
pub type Stop = Pin<Box<dyn Future<Output = ()>>>;

/// Syncs with another book. Ends when both agree; with `stop`, goes on exchanging what is written until that
/// is ready.
///
/// # Errors
/// [`NetError`] if nobody could be reached; what happened after that is in the report.
pub fn dial(
    book: Daybook,
    whom: Dial<'_>,
    limits: NetLimits,
    stop: Option<Stop>,
    tell: &mut dyn FnMut(Notice),
) -> Result<Report, NetError> {
    let stay = stop.is_some();
    let mut end = Ending { stop, clerk: None };
    let runtime = runtime()?;
    let report = runtime.block_on(async {
        let (told, notices) = unbounded_channel();
        match whom {
            Dial::Host(host) => {
                let stream = connect(host, limits).await?;
                over_tcp((book, limits), (host, stream), (told, notices), (stay, end), tell).await
            }
            Dial::FirstOf(hosts) => {
                let (host, stream) = first_of(hosts, limits, tell).await?;
                over_tcp((book, limits), (host, stream), (told, notices), (stay, end), tell).await
            }
            Dial::Stdio => {
                let clerk = Clerk::start(book, limits.session, told)?;
                let (reader, writer) = (tokio::io::stdin(), tokio::io::stdout());
                let carried = carry(end.by(&clerk), Side::Called, true, "standard input".into(), reader, writer);
                report_of(carried, notices, end, tell).await
            }
            Dial::Command(command) => {
                let mut child = shell(command).spawn().map_err(NetError::Command)?;
                let (Some(reader), Some(writer)) = (child.stdout.take(), child.stdin.take()) else {
                    return Err(NetError::Command(std::io::ErrorKind::BrokenPipe.into()));
                };
                let clerk = Clerk::start(book, limits.session, told)?;
                let carried = carry(end.by(&clerk), Side::Caller, stay, command.to_owned(), reader, writer);
                let report = report_of(carried, notices, end, tell).await;
                // It ends by itself when its input ends; one that does not is left behind after a while.
                let _ = tokio::time::timeout(STOP, child.wait()).await;
                report
            }
        }
    });
    // A thread that waits for standard input would wait for ever.
    runtime.shutdown_background();
    report
}

/// Connects to the first of some servers that answers.
async fn first_of<'h>(
    hosts: &'h [String],
    limits: NetLimits,
    tell: &mut dyn FnMut(Notice),
) -> Result<(&'h str, TcpStream), NetError> {
    let mut last = NetError::NoAnswer(std::io::ErrorKind::AddrNotAvailable.into());
    for host in hosts {
        tell(Notice::Calling { host: host.clone() });
        match connect(host, limits).await {
            Ok(stream) => return Ok((host, stream)),
            Err(error) => last = error,
        }
        tell(Notice::NoAnswer { host: host.clone() });
    }
    Err(last)
}

/// Has a session over TCP with a server that answered, and remembers where that was.
async fn over_tcp(
    (book, limits): (Daybook, NetLimits),
    (host, stream): (&str, TcpStream),
    (told, notices): (UnboundedSender<Notice>, UnboundedReceiver<Notice>),
    (stay, mut end): (bool, Ending),
    tell: &mut dyn FnMut(Notice),
) -> Result<Report, NetError> {
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let clerk = Clerk::start(book, limits.session, told)?;
    clerk.calls(host);
    let carried = carry(end.by(&clerk), Side::Caller, stay, host.to_owned(), reader, writer);
    report_of(carried, notices, end, tell).await
}

/// Syncs over a stream that the caller brings: Bluetooth, Wi-Fi Direct, a pipe. As [`dial`] otherwise; runs in
/// the caller's tokio runtime, which needs its timer.
///
/// # Errors
/// [`NetError`] if the book's thread cannot be started.
pub async fn meet<R, W>(
    book: Daybook,
    side: Side,
    (reader, writer): (R, W),
    limits: NetLimits,
    stop: Option<Stop>,
    tell: &mut dyn FnMut(Notice),
) -> Result<Report, NetError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (told, notices) = unbounded_channel();
    let stay = stop.is_some() || side == Side::Called;
    let mut end = Ending { stop, clerk: None };
    let clerk = Clerk::start(book, limits.session, told)?;
    let carried = carry(end.by(&clerk), side, stay, "stream".into(), reader, writer);
    report_of(carried, notices, end, tell).await
}

fn shell(command: &str) -> tokio::process::Command {
    let mut shell = tokio::process::Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    shell
}

/// When and by whom a session is ended from outside.
struct Ending {
    stop: Option<Stop>,
    clerk: Option<Clerk>,
}

impl Ending {
    fn by<'c>(&mut self, clerk: &'c Clerk) -> &'c Clerk {
        self.clerk = Some(clerk.clone());
        clerk
    }

    /// Ready when the session was asked to end; once.
    async fn asked(&mut self) {
        match &mut self.stop {
            Some(stop) => stop.as_mut().await,
            None => std::future::pending().await,
        }
        self.stop = None;
        if let Some(clerk) = &self.clerk {
            clerk.stop();
        }
    }
}

/// Carries the session and gives its report, once the book is closed.
async fn report_of(
    carried: impl Future<Output = ()>,
    mut notices: UnboundedReceiver<Notice>,
    mut end: Ending,
    tell: &mut dyn FnMut(Notice),
) -> Result<Report, NetError> {
    let mut carried = std::pin::pin!(carried);
    let mut over = false;
    let mut report = None;
    while report.is_none() || !over {
        tokio::select! {
            () = &mut carried, if !over => over = true,
            () = end.asked() => {}
            notice = notices.recv(), if report.is_none() => match notice {
                Some(Notice::Ended(ended)) => report = Some(ended),
                Some(notice) => tell(notice),
                None => break,
            },
        }
    }
    if let Some(clerk) = end.clerk.take() {
        clerk.stop();
    }
    // A program that ends while the thread closes the book would take the cipher away from under it.
    let closed = async { while notices.recv().await.is_some() {} };
    let _ = tokio::time::timeout(STOP, closed).await;
    report.ok_or(Error::Bug("the book's thread ended").into())
}

async fn connect(host: &str, limits: NetLimits) -> Result<TcpStream, NetError> {
    let addresses: Vec<_> = tokio::net::lookup_host(with_port(host)).await.map_err(NetError::Address)?.collect();
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let wait = Duration::from_millis(limits.connect_ms);
        match tokio::time::timeout(wait, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(NetError::NoAnswer(last))
}

/// The address with the port of this program if it names none.
fn with_port(host: &str) -> String {
    let names_port = match host.rsplit_once(':') {
        Some((before, port)) => {
            port.bytes().all(|b| b.is_ascii_digit())
                && !port.is_empty()
                && (!before.contains(':') || before.ends_with(']'))
        }
        None => false,
    };
    match names_port {
        true => host.to_owned(),
        false if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{PORT}"),
        false => format!("{host}:{PORT}"),
    }
}

fn runtime() -> Result<Runtime, NetError> {
    Builder::new_current_thread().enable_all().build().map_err(NetError::System)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_none_is_named() {
        for (host, expected) in [
            ("shelter.local", "shelter.local:7373"),
            ("10.0.0.7", "10.0.0.7:7373"),
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("fe80::1", "[fe80::1]:7373"),
            ("[fe80::1]", "[fe80::1]:7373"),
            ("[fe80::1]:80", "[fe80::1]:80"),
        ] {
            assert_eq!(with_port(host), expected);
        }
    }
}
