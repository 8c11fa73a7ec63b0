//! HTTP on loopback, and the stream of events to the open page.
//!
//! `GET /events` is a stream of server-sent events, each a JSON object; every other
//! address is a file of the built book. A request that names another host, or comes
//! from a page of another origin, is refused: no other web site can read the book or
//! the verdicts through the reader's browser.

use crate::site::Site;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tiny_http::{Header, Method, Request, Response};

/// The port that is tried first when none is asked for.
pub const USUAL_PORT: u16 = 4321;
const WORKERS: usize = 4;
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

/// Opens the port and serves from background threads for as long as the process lives.
///
/// With a `port`, that one or an error; without, the usual one, or a free one when the
/// usual one is taken.
///
/// # Errors
/// One line when the port is taken or may not be used.
pub fn start(hub: &Arc<Hub>, port: Option<u16>) -> Result<SocketAddr> {
    let listener = listen(port)?;
    let address = listener.local_addr().context("the server has no address")?;
    let server = tiny_http::Server::from_listener(listener, None)
        .map_err(|error| anyhow::anyhow!("cannot serve on {address}: {error}"))?;
    let server = Arc::new(server);
    for _ in 0..WORKERS {
        let (server, hub) = (Arc::clone(&server), Arc::clone(hub));
        thread::spawn(move || {
            for request in server.incoming_requests() {
                // A page that goes away in the middle of an answer is no error of ours.
                let _ = answer(request, &hub, address.port());
            }
        });
    }
    Ok(address)
}

fn listen(port: Option<u16>) -> Result<TcpListener> {
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

fn header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    let mut headers = request.headers().iter();
    headers
        .find(|h| h.field.equiv(name))
        .map(|h| h.value.as_str())
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

fn answer(request: Request, hub: &Hub, port: u16) -> std::io::Result<()> {
    if let Some(why) = refusal(header(&request, "Host"), header(&request, "Origin"), port) {
        return request.respond(plain(403, why));
    }
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.respond(plain(405, "Only GET is answered.\n"));
    }
    if request.url() == "/events" {
        let receiver = hub.connect();
        thread::spawn(move || stream(request, &receiver));
        return Ok(());
    }
    let site = hub.site();
    let (status, file) = match site.get(request.url()) {
        Some(file) => (200, Some(file)),
        None => (404, site.get("/404.html")),
    };
    let Some(file) = file else {
        return request.respond(plain(404, "There is no such page.\n"));
    };
    if status == 200 && header(&request, "If-None-Match") == Some(file.tag.as_str()) {
        return request.respond(with_headers(Response::from_data([]), &file.policy, 304));
    }
    let response = Response::from_data(file.bytes.as_slice());
    let response = with_headers(response, &file.policy, status)
        .with_header(field("Content-Type", file.media))
        .with_header(field("ETag", &file.tag));
    request.respond(response)
}

fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).unwrap_or_else(|()| panic!("`{value}` is no header value"))
}

fn with_headers<R: std::io::Read>(response: Response<R>, policy: &str, status: u16) -> Response<R> {
    response
        .with_status_code(status)
        .with_header(field("Content-Security-Policy", policy))
        .with_header(field("Cache-Control", "no-cache"))
        .with_header(field("Cross-Origin-Resource-Policy", "same-origin"))
        .with_header(field("Referrer-Policy", "no-referrer"))
        .with_header(field("X-Content-Type-Options", "nosniff"))
}

fn plain(status: u16, text: &str) -> Response<std::io::Cursor<Vec<u8>>> {
    with_headers(Response::from_string(text), "default-src 'none'", status)
}

/// Writes events until the page goes away.
fn stream(request: Request, events: &Receiver<String>) {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                        X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
                        Connection: close\r\n\r\nretry: 1000\n\n";
    let mut page = request.into_writer();
    let mut write = |text: &str| page.write_all(text.as_bytes()).and_then(|()| page.flush());
    if write(HEAD).is_err() {
        return;
    }
    loop {
        let text = match events.recv_timeout(HEARTBEAT) {
            Ok(text) => text,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => ": still here\n\n".to_owned(),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        };
        if write(&text).is_err() {
            return;
        }
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
