//! HTTP on loopback, and the stream of events to the open page.
//!
//! `GET /events` is a stream of server-sent events, each a JSON object; every other
//! address is a file of the built book. A request that names another host, or comes
//! from a page of another origin, is refused: no other web site can read the book or
//! the verdicts through the reader's browser.
//!
//! A connection has a thread only until it is answered, and has to be answered soon; an
//! open page costs no thread. Where there are too many connections, no threads or no file
//! descriptors, the connection that has waited longest makes room: what says nothing, or
//! reads nothing, keeps no page waiting.

use crate::site::Site;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The port that is tried first when none is asked for.
pub const USUAL_PORT: u16 = 4321;
/// Headers of every answer.
const COMMON: &str = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
                      Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n";
/// A longer request is refused.
const LONGEST_HEAD: usize = 32 * 1024;
/// How long a page may take to say what it wants, and to read what it is sent.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long is waited for the rest of a request that has been answered.
const REST: Duration = Duration::from_secs(2);
/// How many connections are answered at a time.
const MOST_TALKS: usize = 128;
/// How long a connection is waited for before it makes room for another one: on a busy machine its
/// thread may not have run yet.
const GRACE: Duration = Duration::from_secs(1);
/// How many pages may be open.
const MOST_PAGES: usize = 8192;
/// A page that has not read this much of what it was told is closed. It asks again.
const MOST_UNREAD: usize = 8 << 20;
/// A comment is sent this often, so that a closed page is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long the server rests before it tries again what the system refused.
const PAUSE: Duration = Duration::from_millis(20);

/// What the server shows: the site, and the events for the open pages.
#[derive(Default)]
pub struct Hub {
    inner: Mutex<Inner>,
    /// Told when a page has something to read.
    unread: Condvar,
}

#[derive(Default)]
struct Inner {
    site: Arc<Site>,
    /// What a page is told when it connects.
    greeting: Value,
    /// The oldest first.
    pages: VecDeque<Page>,
}

/// An open page; its socket does not block.
struct Page {
    stream: Arc<TcpStream>,
    unread: VecDeque<u8>,
}

impl Page {
    /// Writes what it takes at the moment; false when it is gone.
    fn write(&mut self) -> bool {
        while !self.unread.is_empty() {
            match (&*self.stream).write(self.unread.as_slices().0) {
                Ok(0) => return false,
                Ok(count) => drop(self.unread.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn tell(&mut self, text: &str) -> bool {
        self.unread.extend(text.bytes());
        self.write() && self.unread.len() <= MOST_UNREAD
    }
}

impl Hub {
    /// Shows another site from now on.
    pub fn show(&self, site: Site) {
        self.lock().site = Arc::new(site);
    }

    /// What a page is told when it connects.
    pub fn greet_with(&self, greeting: Value) {
        self.lock().greeting = greeting;
    }

    /// Sends an event to every open page.
    pub fn send(&self, event: &Value) {
        self.tell(&frame(event));
    }

    fn tell(&self, text: &str) {
        self.lock().pages.retain_mut(|page| page.tell(text));
        self.unread.notify_one();
    }

    /// How many pages are listening.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.lock().pages.len()
    }

    fn site(&self) -> Arc<Site> {
        Arc::clone(&self.lock().site)
    }

    /// Takes over the connection of a page, which is told `head` and the greeting.
    fn connect(&self, stream: &Arc<TcpStream>, head: &str) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let mut page = Page {
            stream: Arc::clone(stream),
            unread: VecDeque::new(),
        };
        let mut inner = self.lock();
        let greeting = frame(&inner.greeting);
        if page.tell(&format!("{head}{greeting}")) {
            if inner.pages.len() >= MOST_PAGES {
                inner.pages.pop_front();
            }
            inner.pages.push_back(page);
            self.unread.notify_one();
        }
        Ok(())
    }

    /// Closes the page that has been open for longest.
    fn close_oldest_page(&self) {
        self.lock().pages.pop_front();
    }

    /// Writes on what pages have not read yet, and looks from time to time whether they
    /// are there still.
    fn attend(&self) {
        let mut inner = self.lock();
        let mut beat = Instant::now();
        loop {
            let unread = inner.pages.iter().any(|page| !page.unread.is_empty());
            let rest = HEARTBEAT.saturating_sub(beat.elapsed());
            let wait = if unread { PAUSE.min(rest) } else { rest };
            let woken = self.unread.wait_timeout(inner, wait);
            inner = woken.unwrap_or_else(PoisonError::into_inner).0;
            if beat.elapsed() >= HEARTBEAT {
                beat = Instant::now();
                inner.pages.retain_mut(|page| page.tell(": still here\n\n"));
            } else {
                inner.pages.retain_mut(Page::write);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn frame(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// The connections that are being answered, by number: the lowest has waited longest.
#[derive(Default)]
struct Talks {
    open: Mutex<(u64, BTreeMap<u64, Open>)>,
}

/// A connection, and since when it is there.
type Open = (Arc<TcpStream>, Instant);

impl Talks {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Open>)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, stream: &Arc<TcpStream>) -> u64 {
        let mut open = self.lock();
        open.0 += 1;
        let number = open.0;
        open.1.insert(number, (Arc::clone(stream), Instant::now()));
        number
    }

    fn end(&self, number: u64) {
        self.lock().1.remove(&number);
    }

    /// Ends the connection that has waited longest.
    fn end_oldest(&self) -> bool {
        let oldest = self.lock().1.pop_first();
        if let Some((_, (stream, _))) = &oldest {
            end(stream);
        }
        oldest.is_some()
    }

    /// Whether there is room for one more, for which the connection that has waited longest is
    /// ended if it has had time enough.
    fn has_room(&self) -> bool {
        let mut open = self.lock();
        if open.1.len() < MOST_TALKS {
            return true;
        }
        let oldest = open.1.first_entry();
        let late = oldest.filter(|oldest| oldest.get().1.elapsed() >= GRACE);
        late.is_some_and(|late| {
            end(&late.remove().0);
            true
        })
    }
}

/// Ends a connection; its thread notices and ends too.
fn end(stream: &TcpStream) {
    // It may have been closed by the other side.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Something to be done in a thread of its own.
type Task = Box<dyn FnOnce() + Send>;
/// Starts a thread, or says that there is none.
type Start = fn(Task) -> io::Result<()>;

fn start_thread(task: Task) -> io::Result<()> {
    thread::Builder::new().spawn(task).map(drop)
}

/// Serves from background threads for as long as the process lives.
///
/// # Errors
/// When the listener has no address, or the first threads cannot be started.
pub fn start(hub: &Arc<Hub>, listener: TcpListener) -> Result<SocketAddr> {
    start_with(hub, listener, start_thread)
}

fn start_with(hub: &Arc<Hub>, listener: TcpListener, start: Start) -> Result<SocketAddr> {
    let address = listener.local_addr().context("the server has no address")?;
    let (pages, hub) = (Arc::clone(hub), Arc::clone(hub));
    let cannot = "the server's threads cannot be started";
    start_thread(Box::new(move || pages.attend())).context(cannot)?;
    start_thread(Box::new(move || {
        let talks = Arc::default();
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => take(Arc::new(stream), &hub, &talks, address.port(), start),
                // No descriptor is left, or the page was gone at once.
                Err(_) => {
                    if !talks.end_oldest() {
                        hub.close_oldest_page();
                    }
                    thread::sleep(PAUSE);
                }
            }
        }
    }))
    .context(cannot)?;
    Ok(address)
}

/// Has a connection answered in a thread of its own. The ones that have waited longest
/// make room for it where that is needed.
fn take(stream: Arc<TcpStream>, hub: &Arc<Hub>, talks: &Arc<Talks>, port: u16, start: Start) {
    while !talks.has_room() {
        thread::sleep(PAUSE);
    }
    loop {
        let number = talks.begin(&stream);
        let (stream, hub, open) = (Arc::clone(&stream), Arc::clone(hub), Arc::clone(talks));
        let task = move || {
            // A page that goes away in the middle of an answer is no error of ours.
            let _ = talk(&stream, &hub, port);
            open.end(number);
        };
        if start(Box::new(task)).is_ok() {
            return;
        }
        talks.end(number);
        if !talks.end_oldest() {
            // Others use up the threads: this connection is closed, and may come again.
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Opens the port: with a `port`, that one or an error; without, the usual one, or a free
/// one when the usual one is taken.
///
/// # Errors
/// One line when the port is taken or may not be used.
pub fn listen(port: Option<u16>) -> Result<TcpListener> {
    let on = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let Some(port) = port else {
        return on(USUAL_PORT)
            .or_else(|_| on(0))
            .context("no port of 127.0.0.1 can be opened");
    };
    on(port).or_else(|error| match error.kind() {
        ErrorKind::AddrInUse => bail!("port {port} is taken; leave out --port to get a free one"),
        ErrorKind::PermissionDenied => bail!("port {port} needs rights that this user has not"),
        _ => Err(error).with_context(|| format!("port {port} cannot be opened")),
    })
}

/// Whether `host` is this server by a name that only this machine can have.
fn is_us(host: &str, port: u16) -> bool {
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.eq_ignore_ascii_case(&format!("{name}:{port}")))
}

/// Why a request is refused, if it is.
fn refusal(host: Option<&str>, origin: Option<&str>, port: u16) -> Option<&'static str> {
    if !host.is_some_and(|host| is_us(host, port)) {
        return Some("This server answers only to its own address.\n");
    }
    let ours = |origin: &str| {
        origin
            .strip_prefix("http://")
            .is_some_and(|host| is_us(host, port))
    };
    if origin.is_some_and(|origin| !ours(origin)) {
        return Some("This server answers only to its own pages.\n");
    }
    None
}

/// A connection with a time at which it ends, whatever trickles in or out.
struct Until<'a> {
    stream: &'a TcpStream,
    end: Instant,
}

impl Until<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

impl Read for Until<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(bytes)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        // Not all at once: a system may wait until it has taken all, each part anew.
        self.stream.write(&bytes[..bytes.len().min(64 << 10)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Reads one request and answers it.
fn talk(stream: &Arc<TcpStream>, hub: &Hub, port: u16) -> io::Result<()> {
    let within = |time| Until {
        stream,
        end: Instant::now() + time,
    };
    let mut asked = within(PATIENCE);
    let mut head = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = match asked.read(&mut part) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let text = "The request took too long.\n";
                return plain(&mut within(REST), true, "408 Request Timeout", text);
            }
            Err(error) => return Err(error),
        };
        head.extend_from_slice(&part[..count]);
        if count == 0 {
            return Ok(());
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let mut out = within(PATIENCE);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                let request = Head {
                    method: request.method.unwrap_or_default(),
                    path: request.path.unwrap_or_default(),
                    headers: request.headers,
                };
                if !answer(stream, &mut out, &request, hub, port)? {
                    return Ok(());
                }
            }
            Ok(httparse::Status::Partial) if head.len() < LONGEST_HEAD => continue,
            _ => plain(&mut out, true, "400 Bad Request", "This is no request.\n")?,
        }
        // A connection that is closed while something is left to read is reset, and the
        // answer may be lost with it.
        stream.shutdown(Shutdown::Write)?;
        io::copy(&mut within(REST), &mut io::sink())?;
        return Ok(());
    }
}

/// What a request says before its body.
struct Head<'a> {
    method: &'a str,
    path: &'a str,
    headers: &'a [httparse::Header<'a>],
}

impl Head<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        // A header that is not text names nothing we know.
        Some(std::str::from_utf8(found.value).unwrap_or("?"))
    }
}

/// Answers a request; false when the connection is a page's from now on.
fn answer(
    stream: &Arc<TcpStream>,
    out: &mut Until<'_>,
    request: &Head<'_>,
    hub: &Hub,
    port: u16,
) -> io::Result<bool> {
    let body = request.method != "HEAD";
    let done = |result: io::Result<()>| result.map(|()| true);
    if let Some(why) = refusal(request.get("Host"), request.get("Origin"), port) {
        return done(plain(out, body, "403 Forbidden", why));
    }
    if !matches!(request.method, "GET" | "HEAD") {
        let status = "405 Method Not Allowed\r\nAllow: GET, HEAD";
        return done(plain(out, body, status, "Only GET is answered.\n"));
    }
    if request.path == "/events" && body {
        hub.connect(stream, &format!("{EVENTS}{COMMON}\r\nretry: 1000\n\n"))?;
        return Ok(false);
    }
    let site = hub.site();
    let (status, file) = match site.get(request.path) {
        Some(file) => ("200 OK", Some(file)),
        None => ("404 Not Found", site.get("/404.html")),
    };
    let Some(file) = file else {
        return done(plain(out, body, status, "There is no such page.\n"));
    };
    let known = request.get("If-None-Match") == Some(file.tag.as_str());
    let head = format!("Content-Type: {}\r\nETag: {}\r\n", file.media, file.tag);
    if status == "200 OK" && known {
        let status = "304 Not Modified";
        return done(send(out, status, &head, &file.policy, None, false));
    }
    let bytes = Some(&*file.bytes);
    done(send(out, status, &head, &file.policy, bytes, body))
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Cache-Control: no-store\r\n";

fn plain(out: &mut Until<'_>, body: bool, status: &str, text: &str) -> io::Result<()> {
    let head = "Content-Type: text/plain; charset=utf-8\r\n";
    let policy = "default-src 'none'";
    send(out, status, head, policy, Some(text.as_bytes()), body)
}

/// Writes an answer; `bytes` are counted in its head and, with `body`, sent.
fn send(
    out: &mut Until<'_>,
    status: &str,
    head: &str,
    policy: &str,
    bytes: Option<&[u8]>,
    body: bool,
) -> io::Result<()> {
    let length = bytes.map_or(String::new(), |b| {
        format!("Content-Length: {}\r\n", b.len())
    });
    let head = format!(
        "HTTP/1.1 {status}\r\n{head}{length}Content-Security-Policy: {policy}\r\n\
         Cache-Control: no-cache\r\n{COMMON}\r\n"
    );
    out.write_all(head.as_bytes())?;
    if let Some(bytes) = bytes.filter(|_| body) {
        out.write_all(bytes)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_host_and_origin_are_answered() {
        for (host, origin, refused) in [
            (Some("127.0.0.1:4321"), None, false),
            (Some("LocalHost:4321"), Some("http://localhost:4321"), false),
            (Some("127.0.0.1:4321"), Some("http://127.0.0.1:4321"), false),
            (None, None, true),
            (Some("127.0.0.1"), None, true),
            (Some("127.0.0.1:80"), None, true),
            (Some("evil.example:4321"), None, true),
            (Some("127.0.0.1:4321.evil.example"), None, true),
            (Some("127.0.0.1:4321"), Some("http://evil.example"), true),
            (Some("127.0.0.1:4321"), Some("https://127.0.0.1:4321"), true),
            (Some("127.0.0.1:4321"), Some("null"), true),
        ] {
            assert_eq!(
                refusal(host, origin, 4321).is_some(),
                refused,
                "{host:?} {origin:?}"
            );
        }
    }

    fn served(start: Start) -> (Arc<Hub>, SocketAddr) {
        let hub = Arc::new(Hub::default());
        let address = start_with(&hub, listen(Some(0)).unwrap(), start).unwrap();
        (hub, address)
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
        let connect = |_| TcpStream::connect(address).unwrap();
        (0..count).map(connect).collect()
    }

    #[test]
    fn connections_that_say_nothing_make_room() {
        let (_, address) = served(start_thread);
        let _silent = silent(address, 2 * MOST_TALKS);
        for _ in 0..3 {
            assert!(ask(address, "GET /none").starts_with("HTTP/1.1 404"));
        }
    }

    /// On a busy machine threads begin late. Whoever has asked is not cut off for the next one.
    #[test]
    fn all_who_ask_are_answered_however_late_a_thread_begins() {
        fn late(task: Task) -> io::Result<()> {
            start_thread(Box::new(|| {
                thread::sleep(GRACE / 5);
                task();
            }))
        }
        let (_, address) = served(late);
        let answers: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = (0..MOST_TALKS + 30)
                .map(|_| scope.spawn(|| ask(address, "GET /none")))
                .collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|one| one.starts_with("HTTP/1.1 404")));
    }

    /// With four threads and more connections that say nothing, a page is still answered.
    #[test]
    fn a_lack_of_threads_is_survived() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        fn few(task: Task) -> io::Result<()> {
            if RUNNING.fetch_add(1, SeqCst) >= 4 {
                RUNNING.fetch_sub(1, SeqCst);
                return Err(ErrorKind::WouldBlock.into());
            }
            start_thread(Box::new(|| {
                task();
                RUNNING.fetch_sub(1, SeqCst);
            }))
        }
        let (_, address) = served(few);
        for _ in 0..3 {
            let _silent = silent(address, 10);
            assert!(ask(address, "GET /none").starts_with("HTTP/1.1 404"));
        }
        // With none at all a connection is closed, and the next one may do better.
        fn none(_: Task) -> io::Result<()> {
            Err(ErrorKind::WouldBlock.into())
        }
        let (_, address) = served(none);
        for mut stream in silent(address, 3) {
            assert!(!matches!(stream.read(&mut [0]), Ok(1)));
        }
    }

    /// A page that reads nothing is closed, and another is told everything.
    #[test]
    fn a_page_that_reads_nothing_is_closed() {
        let (hub, address) = served(start_thread);
        let open = || {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
            stream
        };
        let (_deaf, mut reading) = (open(), open());
        let text = "#".repeat(1 << 20);
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            let mut part = vec![0; 1 << 16];
            while !all.ends_with(b"data: \"end\"\n\n") {
                let count = reading.read(&mut part).unwrap();
                assert!(count > 0, "the page was closed");
                all.extend_from_slice(&part[..count]);
            }
            (reading, all)
        });
        while hub.pages() == 2 {
            hub.send(&Value::from(text.as_str()));
            // The one that reads needs time to do so.
            while hub
                .lock()
                .pages
                .back()
                .is_some_and(|page| !page.unread.is_empty())
            {
                thread::sleep(Duration::from_millis(1));
            }
        }
        hub.send(&Value::from("end"));
        let (reading, all) = reader.join().unwrap();
        assert_eq!(hub.pages(), 1);
        let events = all.iter().filter(|byte| **byte == b'#').count();
        assert!(events > MOST_UNREAD && events % text.len() == 0, "{events}");
        // One that has gone away is noticed when it is told something.
        drop(reading);
        while hub.pages() > 0 {
            hub.send(&Value::from("more"));
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Each byte comes soon after the one before it, and the end comes all the same.
    #[test]
    fn what_trickles_in_comes_to_an_end() {
        let listener = listen(Some(0)).unwrap();
        let mut slow = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let dripping = thread::spawn(move || {
            // It ends when the other side has closed, or at last.
            for _ in 0..20_000 {
                if slow.write_all(b"x").is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let end = Instant::now() + Duration::from_millis(100);
        let mut until = Until {
            stream: &stream,
            end,
        };
        let error = io::copy(&mut until, &mut io::sink()).unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::TimedOut | ErrorKind::WouldBlock
        ));
        drop(stream);
        dripping.join().unwrap();
    }

    #[test]
    fn what_is_not_read_of_a_request_costs_no_answer() {
        let (_, address) = served(start_thread);
        let mut stream = TcpStream::connect(address).unwrap();
        let body = "x".repeat(1 << 20);
        let length = body.len();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 405") && answer.contains("\r\nAllow: GET, HEAD\r\n"),
            "{answer}"
        );
    }
}
