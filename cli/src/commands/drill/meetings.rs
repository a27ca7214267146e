//! Two devices meet over TCP of this computer: one serves, the other calls, and a relay between them counts the
//! bytes and can cut the connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use daybook_core::daybook::Daybook;
use daybook_core::net::{self, Dial, NetError, NetLimits, Notice, Report};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::commands::serve;
use crate::failure::Failure;

/// How long the other side may take to say that it is ready, or over.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOPBACK: &str = "127.0.0.1:0";

/// What one connection did.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// Number of the device that called.
    pub caller: usize,
    /// Number of the device that served.
    pub server: usize,
    /// Entries that became safe on the caller's side.
    pub to_caller: u64,
    /// Entries that became safe on the other side.
    pub to_server: u64,
    /// Bytes that each side says to have handed to the connection: of the caller, of the other.
    pub bytes: [u64; 2],
    /// Bytes that the relay counted from each side: from the caller, from the other.
    pub relayed: [u64; 2],
    /// How long it took the caller.
    pub ms: u64,
    /// Whether the relay cut it.
    pub cut: bool,
}

impl Meeting {
    /// `DrillMeeting`.
    #[must_use]
    pub fn json(&self) -> Value {
        let ([bytes_caller, bytes_server], [relayed_caller, relayed_server]) = (self.bytes, self.relayed);
        json!({
            "caller": self.caller,
            "server": self.server,
            "to_caller": self.to_caller,
            "to_server": self.to_server,
            "bytes_from_caller": bytes_caller,
            "bytes_from_server": bytes_server,
            "relayed_from_caller": relayed_caller,
            "relayed_from_server": relayed_server,
            "ms": self.ms,
            "cut": self.cut,
        })
    }
}

/// Has one book call another; cuts the connection once `cut_after` bytes have passed.
///
/// # Errors
/// When this computer gives no sockets, or a book cannot be served.
pub fn meet(
    (caller, calling): (usize, Daybook),
    (server, serving): (usize, Daybook),
    cut_after: Option<u64>,
) -> Result<Meeting, Failure> {
    let (told, notices) = channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let stopped = async move {
            let _ = stopped.await;
        };
        net::serve(serving, LOOPBACK, NetLimits::default(), stopped, &mut |notice| {
            // Whoever went away needs to hear nothing more.
            let _ = told.send(notice);
        })
    });
    let Some(address) = heard(&notices, |notice| if let Notice::Listening(at) = notice { Some(at) } else { None })
    else {
        return Err(trouble(thread));
    };
    let relay = Relay::start(address, cut_after).map_err(|error| serve::failure(NetError::System(error), LOOPBACK))?;
    let at = relay.address.to_string();
    let report = net::dial(calling, Dial::Host(&at), NetLimits::default(), None, &mut |_| {})
        .map_err(|error| serve::failure(error, &at))?;
    let answered = heard(&notices, |notice| if let Notice::Ended(report) = notice { Some(report) } else { None });
    let _ = stop.send(());
    let Some(answered) = answered else { return Err(trouble(thread)) };
    if let Ok(Err(error)) = thread.join() {
        return Err(serve::failure(error, LOOPBACK));
    }
    let (relayed, cut) = relay.end();
    Ok(of_reports((caller, &report), (server, &answered), relayed, cut))
}

fn of_reports(
    (caller, calling): (usize, &Report),
    (server, serving): (usize, &Report),
    relayed: [u64; 2],
    cut: bool,
) -> Meeting {
    Meeting {
        caller,
        server,
        to_caller: calling.received,
        to_server: serving.received,
        bytes: [calling.bytes_sent, serving.bytes_sent],
        relayed,
        ms: calling.ms,
        cut,
    }
}

/// The first notice that is wanted; none if the server went away or says nothing.
fn heard<T>(notices: &Receiver<Notice>, wanted: impl Fn(Notice) -> Option<T>) -> Option<T> {
    while let Ok(notice) = notices.recv_timeout(PATIENCE) {
        if let Some(found) = wanted(notice) {
            return Some(found);
        }
    }
    None
}

/// Why a server did not do what it should.
fn trouble(thread: JoinHandle<Result<(), NetError>>) -> Failure {
    let error = if thread.is_finished() { thread.join().ok().and_then(Result::err) } else { None };
    serve::failure(error.unwrap_or_else(|| NetError::System(std::io::ErrorKind::TimedOut.into())), LOOPBACK)
}

/// Passes bytes between a caller and a server.
struct Relay {
    address: SocketAddr,
    work: JoinHandle<bool>,
    counts: Arc<[AtomicU64; 2]>,
}

impl Relay {
    /// Waits for one caller.
    fn start(address: SocketAddr, cut_after: Option<u64>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(LOOPBACK)?;
        let own = listener.local_addr()?;
        let counts: Arc<[AtomicU64; 2]> = Arc::default();
        let counted = Arc::clone(&counts);
        let work = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || carry(&listener, address, &counted, cut_after.unwrap_or(u64::MAX)).unwrap_or(true))?;
        Ok(Self { address: own, work, counts })
    }

    /// What passed from either side, and whether it was cut.
    fn end(self) -> ([u64; 2], bool) {
        let cut = self.work.join().unwrap_or(true);
        let [up, down] = &*self.counts;
        ([up.load(Ordering::SeqCst), down.load(Ordering::SeqCst)], cut)
    }
}

/// Carries one connection both ways; says whether it was cut.
fn carry(
    listener: &TcpListener,
    address: SocketAddr,
    counts: &[AtomicU64; 2],
    cut_after: u64,
) -> std::io::Result<bool> {
    let (caller, _) = listener.accept()?;
    let server = TcpStream::connect(address)?;
    caller.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (back_to, back_from) = (caller.try_clone()?, server.try_clone()?);
    let [up, down] = counts;
    Ok(std::thread::scope(|scope| {
        let upward = scope.spawn(|| pass(caller, server, up, counts, cut_after));
        let downward = pass(back_from, back_to, down, counts, cut_after);
        upward.join().unwrap_or(true) | downward
    }))
}

/// Passes what one side says until it ends, or until both together said too much; says which.
fn pass(mut from: TcpStream, mut to: TcpStream, own: &AtomicU64, all: &[AtomicU64; 2], cut_after: u64) -> bool {
    let mut bytes = [0; 1024];
    loop {
        let piece = match from.read(&mut bytes) {
            Ok(count) if count > 0 => bytes.get(..count).unwrap_or_default(),
            Ok(_) | Err(_) => {
                // The other direction goes on until its side ends too.
                let _ = to.shutdown(Shutdown::Write);
                return false;
            }
        };
        let passed: u64 = all.iter().map(|count| count.load(Ordering::SeqCst)).sum();
        if passed.saturating_add(piece.len() as u64) > cut_after {
            // What passed arrives; nothing more does, whatever is still said.
            let _ = to.shutdown(Shutdown::Write);
            while from.read(&mut bytes).is_ok_and(|count| count > 0) {}
            return true;
        }
        own.fetch_add(piece.len() as u64, Ordering::SeqCst);
        // Bytes that the other side no longer takes are counted all the same: they were sent.
        let _ = to.write_all(piece);
    }
}
