//! HTTP on loopback, and the stream of events to the open page.
//!
//! `GET /events` is a stream of server-sent events, each a JSON object; every other
//! address is a file of the built book. A request that names another host, or comes
//! from a page of another origin, is refused: no other web site can read the book or
//! the verdicts through the reader's browser.

use crate::site::Site;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The port that is tried first when none is asked for.
pub const USUAL_PORT: u16 = 4321;
/// Headers of every answer.
const COMMON: &str = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
                      Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n";
/// A longer request is refused.
const LONGEST_HEAD: usize = 32 * 1024;
/// How long a page may take to say what it wants, or to read what it is sent.
const PATIENCE: Duration = Duration::from_secs(20);
/// A comment is sent this often, so that a closed page is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What the server shows: the site, and the events for the open pages.
#[derive(Default)]
pub struct Hub {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    site: Arc<Site>,
    /// What a page is told when it connects.
    greeting: Value,
    pages: Vec<Sender<String>>,
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
        let text = frame(event);
        self.lock()
            .pages
            .retain(|page| page.send(text.clone()).is_ok());
    }

    /// How many pages are listening.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.lock().pages.len()
    }

    fn site(&self) -> Arc<Site> {
        Arc::clone(&self.lock().site)
    }

    fn connect(&self) -> Receiver<String> {
        let (sender, receiver) = channel();
        let mut inner = self.lock();
        // The receiver is held here, so this cannot fail.
        let _ = sender.send(frame(&inner.greeting));
        inner.pages.push(sender);
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn frame(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// Serves from background threads for as long as the process lives.
///
/// # Errors
/// When the listener has no address.
pub fn start(hub: &Arc<Hub>, listener: TcpListener) -> Result<SocketAddr> {
    let address = listener.local_addr().context("the server has no address")?;
    let hub = Arc::clone(hub);
    thread::spawn(move || {
        // One thread for each connection and one request on it: a page that holds its
        // stream of events open, or says nothing, keeps no other waiting.
        for stream in listener.incoming().flatten() {
            let hub = Arc::clone(&hub);
            thread::spawn(move || {
                // A page that goes away in the middle of an answer is no error of ours.
                let _ = talk(&stream, &hub, address.port());
            });
        }
    });
    Ok(address)
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

/// Reads one request and answers it.
fn talk(mut stream: &TcpStream, hub: &Hub, port: u16) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part)?;
        head.extend_from_slice(&part[..count]);
        if count == 0 {
            return Ok(());
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                let request = Head {
                    method: request.method.unwrap_or_default(),
                    path: request.path.unwrap_or_default(),
                    headers: request.headers,
                };
                return answer(stream, &request, hub, port);
            }
            Ok(httparse::Status::Partial) if head.len() < LONGEST_HEAD => {}
            _ => return plain(stream, true, "400 Bad Request", "This is no request.\n"),
        }
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

fn answer(stream: &TcpStream, request: &Head<'_>, hub: &Hub, port: u16) -> std::io::Result<()> {
    let body = request.method != "HEAD";
    if let Some(why) = refusal(request.get("Host"), request.get("Origin"), port) {
        return plain(stream, body, "403 Forbidden", why);
    }
    if !matches!(request.method, "GET" | "HEAD") {
        return plain(
            stream,
            body,
            "405 Method Not Allowed",
            "Only GET is answered.\n",
        );
    }
    if request.path == "/events" && body {
        return events(stream, &hub.connect());
    }
    let site = hub.site();
    let (status, file) = match site.get(request.path) {
        Some(file) => ("200 OK", Some(file)),
        None => ("404 Not Found", site.get("/404.html")),
    };
    let Some(file) = file else {
        return plain(stream, body, status, "There is no such page.\n");
    };
    let known = request.get("If-None-Match") == Some(file.tag.as_str());
    let head = format!("Content-Type: {}\r\nETag: {}\r\n", file.media, file.tag);
    if status == "200 OK" && known {
        return send(stream, "304 Not Modified", &head, &file.policy, None, false);
    }
    send(stream, status, &head, &file.policy, Some(&file.bytes), body)
}

fn plain(stream: &TcpStream, body: bool, status: &str, text: &str) -> std::io::Result<()> {
    let head = "Content-Type: text/plain; charset=utf-8\r\n";
    send(
        stream,
        status,
        head,
        "default-src 'none'",
        Some(text.as_bytes()),
        body,
    )
}

/// Writes an answer; `bytes` are counted in its head and, with `body`, sent.
fn send(
    mut stream: &TcpStream,
    status: &str,
    head: &str,
    policy: &str,
    bytes: Option<&[u8]>,
    body: bool,
) -> std::io::Result<()> {
    let length = bytes.map_or(String::new(), |b| {
        format!("Content-Length: {}\r\n", b.len())
    });
    let head = format!(
        "HTTP/1.1 {status}\r\n{head}{length}Content-Security-Policy: {policy}\r\n\
         Cache-Control: no-cache\r\n{COMMON}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if let Some(bytes) = bytes.filter(|_| body) {
        stream.write_all(bytes)?;
    }
    stream.flush()
}

/// Writes events until the page goes away.
fn events(mut stream: &TcpStream, events: &Receiver<String>) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n{COMMON}\r\nretry: 1000\n\n"
    );
    stream.write_all(head.as_bytes())?;
    loop {
        let text = match events.recv_timeout(HEARTBEAT) {
            Ok(text) => text,
            Err(RecvTimeoutError::Timeout) => ": still here\n\n".to_owned(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
    }
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
}
