//! The thread that has the book: all sessions are driven here, one step at a time.

use super::notice::{Agreement, Former, NetError, Notice, Report};
use crate::daybook::{Author, Daybook};
use crate::sync::{Event, Limits, Reason, Session, Side};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::error::TrySendError;

/// Bytes of one piece that is handed to a stream.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
/// How often it is looked whether another process of this computer wrote.
const LOOK_MS: u64 = 500;
/// How long the last bytes of a session may take.
const LAST_BYTES_MS: u64 = 5_000;
/// Messages that are taken before every session gets its turn.
const MESSAGES_PER_TURN: usize = 64;

/// What streams say to the clerk.
enum Message {
    Open { seat: u64, from: String, side: Side, stay: bool, out: tokio::sync::mpsc::Sender<Vec<u8>> },
    Bytes { seat: u64, bytes: Vec<u8>, permit: OwnedSemaphorePermit },
    Room,
    Gone { seat: u64 },
    Calls { host: String },
    Stop,
}

/// Speaks to the clerk.
#[derive(Clone)]
pub(super) struct Clerk {
    to: Sender<Message>,
    next: Arc<AtomicU64>,
}

impl Clerk {
    /// Gives the book to a thread of its own, which tells `told` what happens. The thread ends after
    /// [`Clerk::stop`], or when nobody speaks to it any more.
    pub fn start(
        book: Daybook,
        limits: Limits,
        told: tokio::sync::mpsc::UnboundedSender<Notice>,
    ) -> Result<Self, NetError> {
        let (to, from) = channel();
        // Known before the first session: what others write from here on is news to every one of them.
        let version = book.version_elsewhere().ok();
        let desk = Desk {
            book,
            limits,
            told,
            from,
            seats: BTreeMap::new(),
            began: Instant::now(),
            looked_ms: 0,
            version,
            called: None,
            stopping: false,
        };
        std::thread::Builder::new().name("book".into()).spawn(move || desk.work()).map_err(NetError::System)?;
        Ok(Self { to, next: Arc::new(AtomicU64::new(1)) })
    }

    /// Begins a session whose bytes go to `out`; one that does not `stay` closes when both agree.
    pub fn open(&self, side: Side, stay: bool, from: String, out: tokio::sync::mpsc::Sender<Vec<u8>>) -> u64 {
        let seat = self.next.fetch_add(1, Ordering::Relaxed);
        self.say(Message::Open { seat, from, side, stay, out });
        seat
    }

    /// Hands over what came; the permit is given back when the session took it.
    pub fn bytes(&self, seat: u64, bytes: Vec<u8>, permit: OwnedSemaphorePermit) {
        self.say(Message::Bytes { seat, bytes, permit });
    }

    /// Says that a stream took a piece.
    pub fn room(&self) {
        self.say(Message::Room);
    }

    /// Says that a stream is gone.
    pub fn gone(&self, seat: u64) {
        self.say(Message::Gone { seat });
    }

    /// Says that the next session is with whoever answered at an address; it is remembered once they agree.
    pub fn calls(&self, host: &str) {
        self.say(Message::Calls { host: host.to_owned() });
    }

    /// Ends all sessions in order, and then the thread.
    pub fn stop(&self) {
        self.say(Message::Stop);
    }

    /// A clerk who went away needs to hear nothing more.
    fn say(&self, message: Message) {
        let _ = self.to.send(message);
    }
}

/// One session with its stream.
struct Seat {
    session: Session,
    stay: bool,
    inbox: VecDeque<(Vec<u8>, usize, OwnedSemaphorePermit)>,
    out: tokio::sync::mpsc::Sender<Vec<u8>>,
    gone: bool,
    began_ms: u64,
    ended_ms: Option<u64>,
    /// Whether the book was to go on as a new installation before.
    begins_anew: bool,
    report: Report,
}

/// The book and all that is connected to it.
struct Desk {
    book: Daybook,
    limits: Limits,
    told: tokio::sync::mpsc::UnboundedSender<Notice>,
    from: Receiver<Message>,
    seats: BTreeMap<u64, Seat>,
    began: Instant,
    looked_ms: u64,
    version: Option<i64>,
    /// Where the other side answered, if this side called it.
    called: Option<String>,
    stopping: bool,
}

impl Desk {
    fn work(mut self) {
        loop {
            match self.from.recv_timeout(self.wait()) {
                Ok(message) => {
                    self.hear(message);
                    for _ in 0..MESSAGES_PER_TURN {
                        let Ok(message) = self.from.try_recv() else { break };
                        self.hear(message);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let news = self.others_wrote();
            self.turn(news);
            if self.stopping && self.seats.is_empty() {
                break;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Until something is due.
    fn wait(&self) -> Duration {
        let now = self.now_ms();
        let look = (!self.seats.is_empty()).then_some(self.looked_ms.saturating_add(LOOK_MS));
        let due = self.seats.values().filter_map(|seat| match seat.ended_ms {
            Some(ended) => Some(ended.saturating_add(LAST_BYTES_MS)),
            None => seat.session.next_timeout_ms(),
        });
        let first = due.chain(look).min().unwrap_or(now.saturating_add(60_000));
        Duration::from_millis(first.saturating_sub(now).clamp(1, 60_000))
    }

    fn hear(&mut self, message: Message) {
        let now = self.now_ms();
        match message {
            Message::Open { seat, from, side, stay, out } => self.open(seat, from, (side, stay), out),
            Message::Bytes { seat, bytes, permit } => {
                if let Some(seat) = self.seats.get_mut(&seat) {
                    seat.report.bytes_received += bytes.len() as u64;
                    seat.inbox.push_back((bytes, 0, permit));
                }
            }
            // Every session gets its turn after each message.
            Message::Room => {}
            Message::Gone { seat } => {
                if let Some(seat) = self.seats.get_mut(&seat) {
                    seat.gone = true;
                }
            }
            Message::Calls { host } => self.called = Some(host),
            Message::Stop => {
                self.stopping = true;
                for seat in self.seats.values_mut() {
                    seat.session.close(now, &mut self.book);
                }
            }
        }
    }

    fn open(&mut self, number: u64, from: String, (side, stay): (Side, bool), out: tokio::sync::mpsc::Sender<Vec<u8>>) {
        let now = self.now_ms();
        let report = Report {
            seat: number,
            from: from.clone(),
            who: None,
            sent: 0,
            received: 0,
            bytes_sent: 0,
            bytes_received: 0,
            ms: 0,
            agreement: Agreement::Open,
            former: Former::Nobody,
            declined: Vec::new(),
            own_entries_returned: false,
            reason: Reason::Cut,
        };
        self.tell(Notice::Connected { seat: number, from });
        if self.stopping {
            return self.tell(Notice::Ended(Report { reason: Reason::Closed, ..report }));
        }
        match self.book.session(side, self.limits, now) {
            Ok(session) => {
                let (inbox, gone) = (VecDeque::new(), false);
                let begins_anew = self.book.begins_anew();
                let seat = Seat { session, stay, inbox, out, gone, began_ms: now, ended_ms: None, begins_anew, report };
                self.seats.insert(number, seat);
            }
            Err(error) => self.tell(Notice::Ended(Report { reason: Reason::Book(error.into()), ..report })),
        }
    }

    /// Whoever listened and went away needs to hear nothing more.
    fn tell(&self, notice: Notice) {
        let _ = self.told.send(notice);
    }

    /// Whether another process of this computer wrote since this was last asked, at most twice a second.
    fn others_wrote(&mut self) -> bool {
        let now = self.now_ms();
        if now < self.looked_ms.saturating_add(LOOK_MS) {
            return false;
        }
        self.looked_ms = now;
        let before = self.version;
        self.version = self.book.version_elsewhere().ok();
        before.is_some() && before != self.version
    }

    /// Lets every session do what it can; what one stored is news for the others.
    fn turn(&mut self, news: bool) {
        let numbers: Vec<u64> = self.seats.keys().copied().collect();
        let mut stored: Vec<u64> = Vec::new();
        for number in &numbers {
            if self.step(*number, news) {
                stored.push(*number);
            }
        }
        for number in &numbers {
            if stored.iter().any(|by| by != number) {
                self.step(*number, true);
            }
        }
    }

    /// One session's turn; says whether it stored something.
    fn step(&mut self, number: u64, news: bool) -> bool {
        let now = self.now_ms();
        let Some(mut seat) = self.seats.remove(&number) else { return false };
        let book = &mut self.book;
        if news {
            seat.session.notice(now, book);
        }
        if seat.session.next_timeout_ms().is_some_and(|due| due <= now) {
            seat.session.handle_timeout(now, book);
        }
        let mut stored = false;
        loop {
            let moved = seat.take_in(now, book) | seat.give_out(now, book);
            let mut heard = false;
            while let Some(event) = seat.session.poll_event() {
                heard = true;
                stored |= matches!(event, Event::Stored { .. } | Event::Flooded { .. });
                note(&mut seat, event, now, book, &self.told);
            }
            if !moved && !heard {
                break;
            }
        }
        // What came before the stream broke is taken first, as far as a session that cannot answer takes it.
        let read_out = seat.inbox.is_empty() || !seat.session.wants_input();
        if (seat.out.is_closed() || seat.gone) && read_out {
            seat.session.disconnected(now, book);
            while let Some(event) = seat.session.poll_event() {
                stored |= matches!(event, Event::Stored { .. } | Event::Flooded { .. });
                note(&mut seat, event, now, book, &self.told);
            }
        }
        let late = seat.ended_ms.is_some_and(|ended| now >= ended.saturating_add(LAST_BYTES_MS));
        if seat.report.agreement > Agreement::Open
            && let Some(host) = self.called.take()
            && let Err(error) = book.note_reached(&host)
        {
            tracing::warn!(code = error.code(), "it was not noted where the other side answers");
        }
        let over = seat.session.is_ended() && (!seat.session.has_output() || seat.out.is_closed() || seat.gone || late);
        if over {
            seat.report.ms = now.saturating_sub(seat.began_ms);
            seat.report.own_entries_returned = !seat.begins_anew && self.book.begins_anew();
            self.tell(Notice::Ended(seat.report));
        } else {
            self.seats.insert(number, seat);
        }
        stored
    }
}

impl Seat {
    /// Offers what came; says whether any of it was taken.
    fn take_in(&mut self, now: u64, book: &mut Daybook) -> bool {
        let mut moved = false;
        while self.session.wants_input() || self.session.is_ended() {
            let Some((bytes, at, _)) = self.inbox.front_mut() else { break };
            let taken = self.session.receive(bytes.get(*at..).unwrap_or_default(), now, book);
            *at += taken;
            if *at >= bytes.len() {
                self.inbox.pop_front();
            } else if taken == 0 {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Gives what is to be sent, as far as the stream has room; says whether there was any.
    fn give_out(&mut self, now: u64, book: &mut Daybook) -> bool {
        let mut moved = false;
        loop {
            match self.out.try_reserve() {
                Ok(place) => {
                    let bytes = self.session.transmit(PIECE_BYTES, now, book);
                    if bytes.is_empty() {
                        return moved;
                    }
                    self.report.bytes_sent += bytes.len() as u64;
                    place.send(bytes);
                    moved = true;
                }
                Err(TrySendError::Full(()) | TrySendError::Closed(())) => return moved,
            }
        }
    }
}

/// Notes an event in the report and tells it on.
fn note(
    seat: &mut Seat,
    event: Event,
    now: u64,
    book: &mut Daybook,
    told: &tokio::sync::mpsc::UnboundedSender<Notice>,
) {
    let number = seat.report.seat;
    let mut agreed = None;
    let notice = match event {
        Event::PeerKnown(peer) => {
            let who: Author = book.who(peer.device);
            seat.report.who = Some(who.clone());
            Some(Notice::Known { seat: number, who })
        }
        Event::Totals { to_send, to_receive } => Some(Notice::Totals { seat: number, to_send, to_receive }),
        Event::Progress { sent, received } => {
            (seat.report.sent, seat.report.received) = (sent, received);
            Some(Notice::Progress { seat: number, sent, received })
        }
        Event::InSync => {
            agreed = Some(Agreement::InSync);
            None
        }
        Event::HandedOver => {
            agreed = Some(Agreement::HandedOver);
            None
        }
        Event::Former { here } => {
            seat.report.former.note(here);
            None
        }
        Event::Differs => {
            agreed = Some(Agreement::Differs);
            None
        }
        Event::Declined { log, code, by_peer } => {
            seat.report.declined.push((log.short(), code, by_peer));
            None
        }
        Event::Ended(reason) => {
            seat.report.reason = reason;
            seat.ended_ms = Some(now);
            None
        }
        Event::Stored { .. } | Event::Flooded { .. } | Event::Receipt { .. } => None,
    };
    if let Some(notice) = notice {
        let _ = told.send(notice);
    }
    let Some(agreement) = agreed else { return };
    seat.report.agreement = agreement;
    // The name may have come with the entries.
    if let Some(device) = seat.session.peer().map(|peer| peer.device) {
        seat.report.who = Some(book.who(device));
    }
    let _ = told.send(Notice::Agreed { seat: number, agreement });
    if !seat.stay {
        seat.session.close(now, book);
    }
}
